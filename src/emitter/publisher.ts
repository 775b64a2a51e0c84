import type { BatchMessage, DeadLetter, EmitterBroker, RunPosition } from '../broker/contract.ts'
import { concatEvents } from '../event/select.ts'
import { encodeEventBatch } from '../event/wire.ts'
import type { RejectedEvent } from '../source/source.ts'
import { messaging, type Span, type Tracer, traced } from '../telemetry/tracing.ts'
import type { EmitterMetrics } from './metrics.ts'
import type { FormedBatch } from './pending-batch.ts'
import { type EventPlace, type RunStart, toStoredPlace } from './run.ts'
import { settledOrAborted } from './settled-or-aborted.ts'

export interface PublisherOptions {
  readonly broker: EmitterBroker
  readonly spec: string
  /** Events in a chunk of the source. */
  readonly chunkEvents: number
  readonly metrics: EmitterMetrics | undefined
  readonly tracer: Tracer
  readonly signal: AbortSignal
}

/** What one start has published. */
export interface PublishedSum {
  emitted: number
  rejected: number
  batches: number
  pulses: number
}

/**
 * `overtaken`: the broker holds another batch under this number, which a dead predecessor had sent before, or has lost
 * some. Nothing was stored; go on from the broker's position.
 */
export type PublishOutcome = 'stored' | 'aborted' | 'overtaken'

/** A stop waits so long for the broker to take the batch that is on its way. */
const ABORT_GRACE_MS = 2_000

/** Publishes the batches of one run in order, each with the place that follows it. */
export class Publisher {
  readonly start: RunStart
  readonly #options: PublisherOptions
  readonly #sum: PublishedSum
  #sequence: number
  #place: EventPlace
  #emitted: number
  #isDone = false

  constructor(options: PublisherOptions, start: RunStart, sum: PublishedSum) {
    this.start = start
    this.#options = options
    this.#sum = sum
    this.#sequence = start.sequence
    this.#place = start.place
    this.#emitted = start.emitted
  }

  /** Batches of the run so far, those of earlier starts included. */
  get sequence(): number {
    return this.#sequence
  }

  /** Events of the run so far, those of earlier starts included. */
  get emitted(): number {
    return this.#emitted
  }

  /** The run is marked as finished. */
  get isDone(): boolean {
    return this.#isDone
  }

  async publish(batch: FormedBatch, done: boolean): Promise<PublishOutcome> {
    const { events, pulses, rejected, place } = batch
    const position = this.#position(place, events + rejected.length, done)
    const behindMs = Math.max(0, performance.now() - batch.readyMs)
    const { message, deadLetters } = toMessage(batch, position, this.#options.spec)
    const startMs = performance.now()
    const publishing = startTrace(batch, position, this.#options.tracer)
    const { traceparent } = publishing
    const outcome = await traced(publishing, () =>
      this.#store(position, place, () =>
        this.#options.broker.publish(
          message && { ...message, ...(traceparent && { traceparent }) },
          position,
          deadLetters,
        ),
      ),
    )
    if (outcome !== 'stored') return outcome
    this.#options.metrics?.published({
      events,
      pulses,
      rejected: rejected.map(({ code }) => code),
      seconds: (performance.now() - startMs) / 1000,
      behindSeconds: behindMs / 1000,
      position,
    })
    this.#sum.emitted += events + rejected.length
    this.#sum.rejected += rejected.length
    this.#sum.batches += message ? 1 : 0
    this.#sum.pulses += pulses
    return 'stored'
  }

  /** Marks the run as finished when its last batch could not know that it was the last. */
  async finish(): Promise<PublishOutcome> {
    const position = this.#position(this.#place, 0, true)
    return this.#store(position, this.#place, () => this.#options.broker.publish(undefined, position))
  }

  #position(place: EventPlace, events: number, done: boolean): RunPosition {
    return {
      run: this.start.run,
      sequence: this.#sequence + 1,
      resume: toStoredPlace(this.#options.spec, place, this.#options.chunkEvents),
      emitted: this.#emitted + events,
      done,
    }
  }

  async #store(
    position: RunPosition,
    place: EventPlace,
    publish: () => Promise<'stored' | 'repeat'>,
  ): Promise<PublishOutcome> {
    const { broker, signal } = this.#options
    const result = await settledOrAborted(publish(), signal, ABORT_GRACE_MS)
    if (result === undefined) return 'aborted'
    if (result === 'repeat') {
      // A repeat of this very step is the broker's own second try after a lost answer.
      const stored = await settledOrAborted(broker.position(position.run), signal, ABORT_GRACE_MS)
      if (stored === undefined) return 'aborted'
      const isThis = stored.sequence === position.sequence && stored.resume === position.resume
      if (!isThis || stored.lost) return 'overtaken'
    }
    this.#sequence = position.sequence
    this.#emitted = position.emitted
    this.#place = place
    this.#isDone = position.done
    return 'stored'
  }
}

/**
 * Begins the trace of a batch with the gathering of its events, which is over; returns the span of its publishing, which
 * the consumer's work hangs on.
 */
function startTrace(
  { events, rejected, pulses, dueMs, readyMs }: FormedBatch,
  position: RunPosition,
  tracer: Tracer,
): Span {
  const { run, sequence } = position
  const batch = { 'nustream.run': run, 'nustream.batch_id': `${run}:${sequence}` }
  const gathered = {
    ...batch,
    'nustream.events': events,
    'nustream.rejected': rejected.length,
    'nustream.pulses': pulses,
  }
  const reading = tracer.start('emit.read', { startMs: dueMs, attributes: gathered })
  reading.end(Math.max(dueMs, readyMs))
  const attributes = { ...batch, ...messaging('send', `${run}:${sequence}`) }
  return tracer.start('emit.publish', { parent: reading.traceparent, kind: 'producer', attributes })
}

/** A batch of events as the broker takes it, and the dead letters of those that could not be read. */
export function toMessage(
  batch: FormedBatch,
  { run, sequence }: Pick<RunPosition, 'run' | 'sequence'>,
  spec: string,
): { message: BatchMessage | undefined; deadLetters: DeadLetter[] } {
  const { events, rejected } = batch
  const batchId = `${run}:${sequence}`
  // The due time is kept on the monotonic clock; what is stored is the wall clock's.
  const emittedAtMs = Math.round(Date.now() - (performance.now() - batch.dueMs))
  const deadLetters = rejected.map((event) => toDeadLetter(event, batchId, spec))
  if (events === 0) return { message: undefined, deadLetters }
  const payload = encodeEventBatch(concatEvents(batch.parts))
  return { message: { batchId, payload, events, emittedAtMs }, deadLetters }
}

/** What is known of an event that has no wire form: its id and why it was rejected, as JSON. */
function toDeadLetter(
  { eventId, code, message }: RejectedEvent,
  batchId: string,
  source: string,
): DeadLetter {
  const known = { source, eventId: eventId === undefined ? null : String(eventId), code, message }
  return {
    batchId,
    eventId,
    code,
    message,
    attempts: 0,
    payload: new TextEncoder().encode(JSON.stringify(known)),
    events: 1,
    diedAtMs: Date.now(),
  }
}
