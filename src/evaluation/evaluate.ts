import { UsageError } from '../errors.ts'
import { checkEvents } from '../event/check.ts'
import { openingAngles } from '../event/direction.ts'
import { type EventBatch, eventCount, selectEvents } from '../event/event-batch.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import type { EventSource } from '../source/source.ts'

/** Directions of some events in the order of the source; NaN where an event has none. */
export interface EvaluatedChunk {
  readonly eventIds: BigInt64Array
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
}

/** The model-independent columns of a data set. All columns [events], in the order of the source. */
export interface EventFacts {
  readonly pulses: Float64Array
  /** True zenith, rad; NaN if the true direction is not known. */
  readonly zenith: Float64Array
  /** 1 for an event with a reference direction, otherwise 0. */
  readonly hasReference: Float64Array
  /** Index into `TOPOLOGIES`; 0 if it is not known. */
  readonly topology: Float64Array
}

/** An event that got no direction. */
export interface FailedEvent {
  /** Null if the id could not be read. */
  readonly eventId: string | null
  readonly code: string
  readonly message: string
}

/** The results of one model on the events of a data set. */
export interface ModelAnswers {
  readonly model: string
  readonly version: string
  /** Opening angle to the truth, rad; NaN without an answer or truth. [events] */
  readonly error: Float64Array
  /** Opening angle to the reference, which is not the truth, rad; NaN without an answer or reference. [events] */
  readonly referenceAngle: Float64Array
  /** Concentration; NaN without an answer, or if the model gives none. [events] */
  readonly kappa: Float64Array
  readonly predicted: number
  /** Events without a direction by error code, including those that the source could not read. */
  readonly failed: Readonly<Record<string, number>>
  /** The first failed events. */
  readonly failedExamples: readonly FailedEvent[]
  /** Events whose direction is the fallback. */
  readonly degenerate: number
  /** From the first event read to the last one answered. */
  readonly seconds: number
}

export interface AnswerOptions {
  readonly source: EventSource
  readonly inferrer: Inferrer
  /** Stop after this many events. */
  readonly eventsMax?: number
  readonly signal: AbortSignal
  onProgress?(events: number): void
  /** Receives every chunk in order, for a submission file. */
  onChunk?(chunk: EvaluatedChunk): Promise<void>
}

const CHUNK_EVENTS = 1024
const EXAMPLES_MAX = 10

/**
 * Runs a model on the events of a source, with a bounded number in flight, and compares the answers with the truth if it
 * is known. Keeps only numbers per event.
 * @throws the signal's reason once it aborts
 */
export async function answerEvents(
  options: AnswerOptions,
): Promise<{ facts: EventFacts; answers: ModelAnswers }> {
  const { source, inferrer, signal } = options
  const eventsMax = options.eventsMax ?? Number.POSITIVE_INFINITY
  const record = createRecord()
  const inFlight: Promise<AnsweredChunk>[] = []
  let startedAt: number | undefined
  let asked = 0
  const takeOldest = async () => {
    const answered = await inFlight.shift()
    if (!answered) return
    record.add(answered)
    options.onProgress?.(record.events)
    await options.onChunk?.(answered.chunk)
  }
  for await (const { events, rejected } of source.read({ eventsMax: CHUNK_EVENTS, signal })) {
    startedAt ??= performance.now()
    for (const { eventId, code, message } of rejected)
      record.fail({ eventId: eventId === undefined ? null : String(eventId), code, message })
    await options.onChunk?.(unanswered(rejected))
    const wanted = Math.min(eventCount(events), eventsMax - asked)
    asked += wanted
    const batch = wanted < eventCount(events) ? selectEvents(events, range(wanted)) : events
    if (inFlight.length > inferrer.concurrency) await takeOldest()
    const answering = answerChunk(inferrer, batch, signal)
    // The first failure is awaited here; later ones must not end the process as unhandled rejections.
    answering.catch(() => {})
    inFlight.push(answering)
    if (asked >= eventsMax) break
  }
  while (inFlight.length > 0) await takeOldest()
  signal.throwIfAborted()
  const { name: model, version } = inferrer.model
  const seconds = startedAt === undefined ? 0 : (performance.now() - startedAt) / 1000
  return record.result({ model, version, seconds })
}

/**
 * Checks that two passes over a data set saw the same events, so that their answers can be compared event by event.
 * @throws UsageError if they did not
 */
export function assertSameEvents(first: EventFacts, second: EventFacts): void {
  const isSame =
    first.pulses.length === second.pulses.length &&
    first.pulses.every((pulses, event) => pulses === second.pulses[event])
  if (!isSame)
    throw new UsageError('source_unreadable', 'the data changed between two models: evaluate them again')
}

interface AnsweredChunk {
  readonly batch: EventBatch
  readonly chunk: EvaluatedChunk
  readonly kappa: Float64Array
  readonly degenerate: number
  readonly failed: readonly FailedEvent[]
}

/** Events that fail the checks of the event form are not sent to the model. */
async function answerChunk(
  inferrer: Inferrer,
  batch: EventBatch,
  signal: AbortSignal,
): Promise<AnsweredChunk> {
  const events = eventCount(batch)
  const bad = checkEvents(batch)
  const failed = bad.map(({ eventId, code, message }) => ({ eventId: String(eventId), code, message }))
  const azimuth = new Float64Array(events).fill(Number.NaN)
  const zenith = azimuth.slice()
  const kappa = azimuth.slice()
  const isBad = new Set(bad.map(({ index }) => index))
  const good = range(events).filter((index) => !isBad.has(index))
  const inference = await inferrer.infer(isBad.size > 0 ? selectEvents(batch, good) : batch, { signal })
  for (const [answer, index] of good.entries()) {
    azimuth[index] = inference.azimuth[answer]
    zenith[index] = inference.zenith[answer]
    kappa[index] = inference.kappa[answer]
  }
  for (const { index, code, message } of inference.faults)
    failed.push({ eventId: String(batch.eventIds[good[index]]), code, message })
  const degenerate = inference.degenerate.reduce((sum, each) => sum + each, 0)
  return { batch, chunk: { eventIds: batch.eventIds, azimuth, zenith }, kappa, degenerate, failed }
}

/** Events that the source could not read have at most an id. */
function unanswered(rejected: readonly { readonly eventId: bigint | undefined }[]): EvaluatedChunk {
  const eventIds = BigInt64Array.from(
    rejected.flatMap(({ eventId }) => (eventId === undefined ? [] : [eventId])),
  )
  const none = new Float64Array(eventIds.length).fill(Number.NaN)
  return { eventIds, azimuth: none, zenith: none }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index)
}

function createRecord() {
  const pulses = new Column()
  const zenith = new Column()
  const topology = new Column()
  const error = new Column()
  const hasReference = new Column()
  const referenceAngle = new Column()
  const kappa = new Column()
  const failed: Record<string, number> = {}
  const failedExamples: FailedEvent[] = []
  let predicted = 0
  let degenerate = 0
  const fail = (event: FailedEvent) => {
    failed[event.code] = (failed[event.code] ?? 0) + 1
    if (failedExamples.length < EXAMPLES_MAX) failedExamples.push(event)
  }
  return {
    get events() {
      return pulses.length
    },
    fail,
    add(answered: AnsweredChunk): void {
      const { batch, chunk } = answered
      for (const event of answered.failed) fail(event)
      degenerate += answered.degenerate
      const errors = batch.truth && openingAngles(chunk, batch.truth)
      const angles = batch.reference && openingAngles(chunk, batch.reference)
      for (let event = 0; event < eventCount(batch); event++) {
        if (!Number.isNaN(chunk.azimuth[event])) predicted++
        pulses.push(batch.offsets[event + 1] - batch.offsets[event])
        zenith.push(trueZenith(batch, event))
        topology.push(batch.truth?.topology?.[event] ?? 0)
        error.push(errors?.[event] ?? Number.NaN)
        hasReference.push(batch.reference && !Number.isNaN(batch.reference.azimuth[event]) ? 1 : 0)
        referenceAngle.push(angles?.[event] ?? Number.NaN)
        kappa.push(answered.kappa[event])
      }
    },
    result(run: { model: string; version: string; seconds: number }) {
      return {
        facts: {
          pulses: pulses.values,
          zenith: zenith.values,
          hasReference: hasReference.values,
          topology: topology.values,
        },
        answers: {
          ...run,
          error: error.values,
          referenceAngle: referenceAngle.values,
          kappa: kappa.values,
          predicted,
          failed,
          failedExamples,
          degenerate,
        },
      }
    },
  }
}

function trueZenith({ truth }: EventBatch, event: number): number {
  return truth && !Number.isNaN(truth.azimuth[event]) ? truth.zenith[event] : Number.NaN
}

/** A growing typed array: it doubles its capacity when it is full. */
export class Column {
  length = 0
  #values: Float64Array

  constructor(expected = 1024) {
    this.#values = new Float64Array(Math.max(16, expected))
  }

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Float64Array(2 * this.length)
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[this.length++] = value
  }

  /** The numbers so far, as a view. */
  get values(): Float64Array {
    return this.#values.subarray(0, this.length)
  }
}
