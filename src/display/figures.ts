import type { Backlog, Totals } from '../broker/contract.ts'
import { openingAngles } from '../event/direction.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { LogHistogram } from '../telemetry/log-histogram.ts'
import type { Quantiles, Strip, Watched } from './messages.ts'

/** Latency and error of a strip are computed over the last so many milliseconds. */
const RECENT_MS = 10_000
/** Most batches that enter these figures. */
const RECENT_MAX = 1_000

interface BatchFigures {
  readonly atMs: number
  readonly predictions: number
  readonly latencyMs: number | undefined
  readonly errorSum: number
  readonly withTruth: number
}

/** Latency and error of the predictions that were read: of the last seconds, and since the service began. */
export class Figures {
  readonly #startedAtMs: number
  #recent: BatchFigures[] = []
  readonly #latency = new LogHistogram()
  #errorSum = 0
  #withTruth = 0
  #predictions = 0
  #skippedBatches = 0
  #last: { readonly totals: Totals; readonly atMs: number } | undefined

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs
  }

  /** Predictions made before the service began are excluded. */
  add(predictions: PredictionBatch, atMs: number): void {
    if (predictions.origin.predictedAtMs < this.#startedAtMs) return
    const figures = toFigures(predictions, atMs)
    this.#recent.push(figures)
    if (this.#recent.length > RECENT_MAX) this.#recent = this.#recent.slice(-RECENT_MAX / 2)
    this.#predictions += figures.predictions
    this.#errorSum += figures.errorSum
    this.#withTruth += figures.withTruth
    if (figures.latencyMs !== undefined) this.#latency.add(figures.latencyMs, figures.predictions)
  }

  addSkipped(): void {
    this.#skippedBatches++
  }

  strip(totals: Totals, backlog: Backlog, atMs: number): Strip {
    const rates = this.#rates(totals, atMs)
    const firstRecent = this.#recent.findIndex((batch) => batch.atMs > atMs - RECENT_MS)
    this.#recent = firstRecent < 0 ? [] : this.#recent.slice(firstRecent)
    const { emitted, predicted, deadLettered } = totals
    return {
      atMs,
      ...rates,
      lag: {
        events: backlog.events,
        batches: backlog.unreadBatches + backlog.leasedBatches,
        oldestAgeMs: Math.round(backlog.oldestAgeMs),
      },
      latencyMs: quantilesOf(this.#recent),
      meanAngularErrorRad: meanOrNull(
        sumOf(this.#recent, (batch) => batch.errorSum),
        sumOf(this.#recent, (batch) => batch.withTruth),
      ),
      account: { emitted, predicted, deadLettered, waiting: emitted - predicted - deadLettered },
      watched: this.#watched(),
    }
  }

  #rates(totals: Totals, atMs: number): Pick<Strip, 'eventsPerSecond' | 'emittedPerSecond'> {
    const last = this.#last
    this.#last = { totals, atMs }
    if (!last || atMs <= last.atMs) return { eventsPerSecond: 0, emittedPerSecond: 0 }
    const perSecond = (events: number) => Math.max(0, Math.round((events * 10_000) / (atMs - last.atMs)) / 10)
    const settled = (of: Totals) => of.predicted + of.deadLettered
    return {
      eventsPerSecond: perSecond(settled(totals) - settled(last.totals)),
      emittedPerSecond: perSecond(totals.emitted - last.totals.emitted),
    }
  }

  #watched(): Watched {
    const { count } = this.#latency
    const quantile = (q: number) => roundedMs(this.#latency.quantile(q))
    return {
      latencyMs: count === 0 ? null : { p50: quantile(0.5), p99: quantile(0.99) },
      meanAngularErrorRad: meanOrNull(this.#errorSum, this.#withTruth),
      predictions: this.#predictions,
      skippedBatches: this.#skippedBatches,
    }
  }
}

function toFigures(predictions: PredictionBatch, atMs: number): BatchFigures {
  const { emittedAtMs, predictedAtMs } = predictions.origin
  let errorSum = 0
  let withTruth = 0
  for (const angle of predictions.truth ? openingAngles(predictions, predictions.truth) : []) {
    if (Number.isNaN(angle)) continue
    errorSum += angle
    withTruth++
  }
  // It is 0 if the producer does not set it; the clocks of two machines may differ.
  const latencyMs = emittedAtMs > 0 ? Math.max(0, predictedAtMs - emittedAtMs) : undefined
  return { atMs, predictions: predictions.eventIds.length, latencyMs, errorSum, withTruth }
}

/** Quantiles over events: the events of a batch share its latency. */
function quantilesOf(batches: readonly BatchFigures[]): Quantiles | null {
  const sorted = batches
    .flatMap(({ latencyMs, predictions }) => (latencyMs === undefined ? [] : [{ latencyMs, predictions }]))
    .sort((a, b) => a.latencyMs - b.latencyMs)
  const total = sumOf(sorted, (batch) => batch.predictions)
  if (total === 0) return null
  const quantile = (q: number) => {
    let seen = 0
    const found = sorted.find((batch) => {
      seen += batch.predictions
      return seen >= q * total
    })
    return roundedMs(found?.latencyMs ?? 0)
  }
  return { p50: quantile(0.5), p99: quantile(0.99) }
}

function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0)
}

function meanOrNull(sum: number, count: number): number | null {
  return count === 0 ? null : Number((sum / count).toFixed(5))
}

function roundedMs(ms: number): number {
  return Math.round(ms * 10) / 10
}
