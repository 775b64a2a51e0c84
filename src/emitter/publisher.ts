import { untilAborted } from '../async/deadline.ts'
import type { BatchMessage, DeadLetter, EmitterBroker, RunPosition } from '../broker/contract.ts'
import { concatEvents } from '../event/event-batch.ts'
import { encodeEventBatch } from '../event/wire.ts'
import type { RejectedEvent } from '../source/source.ts'
import { messaging, type Span, type Tracer, traced } from '../telemetry/tracing.ts'
import type { FormedBatch } from './batches.ts'
import type { EmitterMetrics } from './metrics.ts'
import { BEGINNING, type EventPlace, type RunStart, toStoredPlace } from './run.ts'

export interface PublisherOptions {
  readonly broker: EmitterBroker
  readonly run: string
  readonly spec: string
  /** Events in a chunk of the source. */
  readonly chunkEvents: number
  readonly metrics: EmitterMetrics | undefined
  readonly tracer: Tracer
  /** Ends a wait for the broker. */
  readonly signal: AbortSignal
}

/**
 * `overtaken`: the broker holds another batch under this number, which a dead predecessor had sent before, or has lost
 * some. Nothing was stored; continue from the broker's position.
 */
export type PublishOutcome = 'stored' | 'overtaken'

/** Publishes the batches of one run in order, each with the place that follows it. */
export class Publisher {
  /** Where publishing began last. */
  start: RunStart
  /** What has been published since this publisher was made. */
  readonly sum = { emitted: 0, rejected: 0, batches: 0, pulses: 0 }
  readonly #options: PublisherOptions
  #sequence = 0
  #place: EventPlace = BEGINNING
  #emitted = 0
  #isDone = false

  constructor(options: PublisherOptions) {
    this.#options = options
    this.start = { run: options.run, how: 'new', place: BEGINNING, sequence: 0, emitted: 0 }
  }

  get run(): string {
    return this.#options.run
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

  /** Continues from there. */
  begin(start: RunStart): void {
    this.start = start
    this.#sequence = start.sequence
    this.#place = start.place
    this.#emitted = start.emitted
    this.#isDone = false
  }

  async publish(batch: FormedBatch, isLast: boolean): Promise<PublishOutcome> {
    const { broker, spec, tracer, metrics } = this.#options
    const { events, pulses, rejected, place } = batch
    const position = this.#position(place, events + rejected.length, isLast)
    const { message, deadLetters } = toMessage(batch, position, spec)
    const startMs = performance.now()
    const span = startTrace(batch, position, tracer)
    const { traceparent } = span
    const outcome = await traced(span, () =>
      this.#store(position, place, () =>
        broker.publish(message && { ...message, ...(traceparent && { traceparent }) }, position, deadLetters),
      ),
    )
    if (outcome !== 'stored') return outcome
    metrics?.published({
      events,
      pulses,
      rejected: rejected.map(({ code }) => code),
      seconds: (performance.now() - startMs) / 1000,
      position,
    })
    this.sum.emitted += events + rejected.length
    this.sum.rejected += rejected.length
    this.sum.batches += message ? 1 : 0
    this.sum.pulses += pulses
    return 'stored'
  }

  /** Marks the run as finished when its last batch could not know that it was the last. */
  async finish(): Promise<PublishOutcome> {
    const position = this.#position(this.#place, 0, true)
    return this.#store(position, this.#place, () => this.#options.broker.publish(undefined, position))
  }

  #position(place: EventPlace, events: number, done: boolean): RunPosition {
    return {
      run: this.run,
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
    if ((await untilAborted(publish(), signal)) === 'repeat') {
      // A repeat of this very step is the broker's own second try after a lost answer.
      const stored = await untilAborted(broker.position(position.run), signal)
      const isThis = stored?.sequence === position.sequence && stored.resume === position.resume
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
 * Starts the trace of a batch with a span for the gathering of its events, which has ended. Returns the span of its
 * publishing, the parent of the consumer's spans.
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
  // The due time is on the monotonic clock; the stored time is on the wall clock.
  const emittedAtMs = Math.round(Date.now() - (performance.now() - batch.dueMs))
  const deadLetters = rejected.map((event) => toDeadLetter(event, batchId, spec))
  if (events === 0) return { message: undefined, deadLetters }
  const payload = encodeEventBatch(concatEvents(batch.slices))
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
