import { untilAborted } from '../async/deadline.ts'
import type { EmitterBroker, LostStep, RunPosition } from '../broker/contract.ts'
import { UsageError } from '../errors.ts'
import type { EventSource } from '../source/source.ts'
import { createPacer, type FormedBatch, formBatches } from './batches.ts'
import { toMessage } from './publisher.ts'
import { toStepPlace } from './run.ts'

export interface RepublishOptions {
  readonly source: EventSource
  readonly broker: EmitterBroker
  /** Events of a chunk where the step itself does not say. */
  readonly chunkEvents: number
  readonly loop: boolean
  readonly signal: AbortSignal
}

/** The source has given these events before, so it should give them again within this time. */
const READ_WITHIN_MS = 60_000

/**
 * Repairs a run after the broker has lost some of its batches. A Redis replica that is promoted, or a Redis that restarts
 * before its append-only file was written, can lack the last batches that it had confirmed, while batches published later
 * are there. The emitter asks for the run's position when it starts, when the broker refuses a batch, and after its last
 * batch. The answer names the lost steps, each with the places before and after it. Their events are then read from the
 * source again and published under their old batch numbers; a batch that is there after all is recognised by its number.
 * @throws UsageError `run_lost` when the source gives other events now; the signal's reason when aborted
 */
export async function republish(lost: readonly LostStep[], options: RepublishOptions): Promise<void> {
  const { broker, source, signal } = options
  for (const step of lost) {
    const batch = await readAgain(step, options)
    const { message, deadLetters } = batch
      ? toMessage(batch, step.position, source.spec)
      : { message: undefined, deadLetters: [] }
    await untilAborted(broker.publish(message, step.position, deadLetters), signal)
  }
}

/** The batch of a step, or undefined for a step without events, such as the mark at the end of a run. */
async function readAgain(step: LostStep, options: RepublishOptions): Promise<FormedBatch | undefined> {
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
  let batch: FormedBatch | undefined
  try {
    for await (batch of batches) break
  } catch (error) {
    if (!late.aborted || error !== late.reason) throw error
  }
  const found = batch ? batch.events + batch.rejected.length : 0
  if (found !== events) throw sourceChanged(step.position, found, events)
  return batch
}

function sourceChanged({ run, sequence }: RunPosition, found: number, events: number): UsageError {
  return new UsageError(
    'run_lost',
    `run ${run} cannot continue: the broker lost batch ${sequence} of it, which had ${events} events, and the source now gives ` +
      `${found} in their place. Put the source back as it was, or emit it under another --run`,
  )
}
