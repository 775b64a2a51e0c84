import type { EmitterBroker, LostStep, RunPosition } from '../broker/contract.ts'
import { UsageError } from '../errors.ts'
import type { EventSource } from '../source/source.ts'
import { formBatches } from './form-batches.ts'
import { createPacer } from './pacing.ts'
import type { FormedBatch } from './pending-batch.ts'
import { toMessage } from './publisher.ts'
import { toStepPlace } from './run.ts'
import { settledOrAborted } from './settled-or-aborted.ts'

export interface RepublishOptions {
  readonly source: EventSource
  readonly broker: EmitterBroker
  /** Events of a chunk where the step itself does not say. */
  readonly chunkEvents: number
  readonly loop: boolean
  readonly signal: AbortSignal
}

/** A source gives what it gave before, so long is patience with it. */
const READ_WITHIN_MS = 60_000

/**
 * Makes the batches of steps that the broker has lost out of the source once more, event for event, and publishes each
 * under its old number; a batch that is there after all is recognised by it. Ends early when aborted.
 * @throws UsageError `run_lost` when the source gives something else now
 */
export async function republish(lost: readonly LostStep[], options: RepublishOptions): Promise<void> {
  const { broker, source, signal } = options
  for (const step of lost) {
    const batch = await formAgain(step, options)
    if (signal.aborted) return
    const { message, deadLetters } = batch
      ? toMessage(batch, step.position, source.spec)
      : { message: undefined, deadLetters: [] }
    await settledOrAborted(broker.publish(message, step.position, deadLetters), signal)
  }
}

/** The batch of a step, or undefined for a step that had no events, such as the mark at the end of a run. */
async function formAgain(step: LostStep, options: RepublishOptions): Promise<FormedBatch | undefined> {
  const { place, events, chunkEvents = options.chunkEvents } = toStepPlace(step)
  if (events === 0) return undefined
  const late = AbortSignal.timeout(READ_WITHIN_MS)
  const batches = formBatches({
    source: options.source,
    place,
    eventsLeft: events,
    loop: options.loop,
    eventsMax: events,
    chunkEvents,
    pulsesMax: Number.POSITIVE_INFINITY,
    lingerMs: READ_WITHIN_MS,
    pacer: createPacer('max', () => performance.now()),
    signal: AbortSignal.any([options.signal, late]),
  })
  try {
    const { value } = await batches.next()
    const batch = typeof value === 'object' ? value : undefined
    const found = batch ? batch.events + batch.rejected.length : 0
    if (found !== events && !options.signal.aborted) throw sourceChanged(step.position, found, events)
    return batch
  } finally {
    await batches.return(false)
  }
}

function sourceChanged({ run, sequence }: RunPosition, found: number, events: number): UsageError {
  return new UsageError(
    'run_lost',
    `run ${run} cannot go on: the broker lost batch ${sequence} of it, which had ${events} events, and the source now gives ` +
      `${found} in their place. Put the source back as it was, or emit it under another --run`,
  )
}
