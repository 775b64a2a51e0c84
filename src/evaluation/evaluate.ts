import { checkEvents } from '../event/check.ts'
import { angularDistance } from '../event/direction.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import { selectEvents } from '../event/select.ts'
import type { Inference, Inferrer } from '../inference/inferrer.ts'
import type { EventSource } from '../source/source.ts'
import { type AngularErrorSummary, type BinSummary, summarise, summariseByBin } from './angular-errors.ts'

/** Directions of one chunk of events in the order of the source; NaN where an event has none. */
export interface EvaluatedChunk {
  readonly eventIds: BigInt64Array
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
}

export interface ModelEvaluation {
  readonly model: string
  readonly version: string
  /** Events that got a direction. */
  readonly predicted: number
  /** Events without a direction, by the reason's code. */
  readonly failed: Readonly<Record<string, number>>
  /** Events whose direction is a last resort. */
  readonly degenerate: number
  readonly eventsPerSecond: number
  /** Undefined where the data has no truth. */
  readonly error: AngularErrorSummary | undefined
  readonly byPulses: readonly BinSummary[]
  readonly byZenith: readonly BinSummary[]
}

export interface EvaluateOptions {
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
const PULSE_EDGES = [1, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 1_000_000]
const ZENITH_EDGES = Array.from({ length: 7 }, (_, index) => (Math.PI * index) / 6)

/** Answers every event of a source with a model and compares with the truth where that is known. */
export async function evaluate(options: EvaluateOptions): Promise<ModelEvaluation> {
  const { source, inferrer, signal } = options
  const tally = createTally()
  const inFlight: Promise<AnsweredChunk>[] = []
  const startedAt = performance.now()
  let asked = 0
  const takeOldest = async () => {
    const answered = await inFlight.shift()
    if (!answered) return
    tally.add(answered)
    options.onProgress?.(tally.events)
    await options.onChunk?.(answered.chunk)
  }
  const eventsMax = options.eventsMax ?? Number.POSITIVE_INFINITY
  for await (const { events, rejected } of source.read({ eventsMax: CHUNK_EVENTS, signal })) {
    for (const event of rejected) tally.fail(event.code)
    const wanted = Math.min(eventCount(events), eventsMax - asked)
    asked += wanted
    const batch = wanted < eventCount(events) ? selectEvents(events, range(wanted)) : events
    if (inFlight.length > inferrer.concurrency) await takeOldest()
    inFlight.push(answerChunk(inferrer, batch, signal))
    if (asked >= eventsMax) break
  }
  while (inFlight.length > 0) await takeOldest()
  const seconds = (performance.now() - startedAt) / 1000
  const { name: model, version } = inferrer.model
  return { model, version, ...tally.report(), eventsPerSecond: asked / seconds }
}

interface AnsweredChunk {
  readonly batch: EventBatch
  readonly chunk: EvaluatedChunk
  readonly inference: Inference
  readonly good: readonly number[]
  readonly faultCodes: readonly string[]
}

/** Events that fail the checks of the event form are left out of what the model is asked. */
async function answerChunk(
  inferrer: Inferrer,
  batch: EventBatch,
  signal: AbortSignal,
): Promise<AnsweredChunk> {
  const faults = checkEvents(batch)
  const bad = new Set(faults.map((fault) => fault.index))
  const good = range(eventCount(batch)).filter((index) => !bad.has(index))
  const inference = await inferrer.infer(bad.size > 0 ? selectEvents(batch, good) : batch, signal)
  const azimuth = new Float64Array(eventCount(batch)).fill(Number.NaN)
  const zenith = azimuth.slice()
  for (const [answer, index] of good.entries()) {
    azimuth[index] = inference.azimuth[answer]
    zenith[index] = inference.zenith[answer]
  }
  const faultCodes = [...faults, ...inference.faults].map((fault) => fault.code)
  return { batch, chunk: { eventIds: batch.eventIds, azimuth, zenith }, inference, good, faultCodes }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index)
}

function createTally() {
  const errors: number[] = []
  const pulses: number[] = []
  const zeniths: number[] = []
  const failed: Record<string, number> = {}
  let predicted = 0
  let degenerate = 0
  const fail = (code: string) => {
    failed[code] = (failed[code] ?? 0) + 1
  }
  return {
    get events() {
      return predicted
    },
    fail,
    add({ batch, chunk, inference, good, faultCodes }: AnsweredChunk): void {
      for (const code of faultCodes) fail(code)
      for (const [answer, index] of good.entries()) {
        const azimuth = chunk.azimuth[index]
        if (Number.isNaN(azimuth)) continue
        predicted += 1
        degenerate += inference.degenerate[answer]
        const truth = batch.truth && {
          azimuth: batch.truth.azimuth[index],
          zenith: batch.truth.zenith[index],
        }
        if (!truth || Number.isNaN(truth.azimuth) || Number.isNaN(truth.zenith)) continue
        errors.push(angularDistance({ azimuth, zenith: chunk.zenith[index] }, truth))
        pulses.push(batch.offsets[index + 1] - batch.offsets[index])
        zeniths.push(truth.zenith)
      }
    },
    report() {
      const angles = Float64Array.from(errors)
      return {
        predicted,
        failed,
        degenerate,
        error: summarise(angles),
        byPulses: summariseByBin(angles, Float64Array.from(pulses), PULSE_EDGES),
        byZenith: summariseByBin(angles, Float64Array.from(zeniths), ZENITH_EDGES),
      }
    },
  }
}
