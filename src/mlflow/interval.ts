import type { PredictionBatch } from '../event/prediction-batch.ts'
import { LogHistogram } from '../telemetry/log-histogram.ts'

/** One settled batch, as a consumer tells of it. */
export interface SettledFacts {
  readonly predicted: number
  readonly deadLettered: number
  /** Undefined where the producer did not say when it was emitted. */
  readonly latencyMs: number | undefined
  readonly predictions: PredictionBatch | undefined
  /** NaN where there is no truth. [predicted], radians */
  readonly angularErrors: Float64Array | undefined
}

/** What a stretch of time saw, in a few kilobytes. */
export class Interval {
  readonly startedAt = performance.now()
  readonly #latencyMs = new LogHistogram()
  #predicted = 0
  #deadLettered = 0
  #degenerate = 0
  #errors = { sum: 0, count: 0 }
  #kappas = { sum: 0, count: 0 }

  add({ predicted, deadLettered, latencyMs, predictions, angularErrors }: SettledFacts): void {
    this.#predicted += predicted
    this.#deadLettered += deadLettered
    if (latencyMs !== undefined) this.#latencyMs.add(latencyMs, predicted)
    for (const flag of predictions?.degenerate ?? []) this.#degenerate += flag
    addKnown(this.#errors, angularErrors)
    addKnown(this.#kappas, predictions?.kappa)
  }

  get events(): number {
    return this.#predicted + this.#deadLettered
  }

  /** Values by name; NaN where there was nothing to measure. Times in milliseconds, angles in radians. */
  values(now = performance.now()): Record<string, number> {
    const seconds = (now - this.startedAt) / 1000
    return {
      events: this.#predicted,
      events_per_second: seconds > 0 ? this.#predicted / seconds : Number.NaN,
      dead_letters: this.#deadLettered,
      degenerate_events: this.#degenerate,
      latency_p50_ms: this.#latencyMs.quantile(0.5),
      latency_p99_ms: this.#latencyMs.quantile(0.99),
      mean_angular_error_rad: this.#errors.sum / this.#errors.count,
      mean_kappa: this.#kappas.sum / this.#kappas.count,
    }
  }
}

function addKnown(mean: { sum: number; count: number }, values: Float64Array | undefined): void {
  for (const value of values ?? []) {
    if (Number.isNaN(value)) continue
    mean.sum += value
    mean.count++
  }
}
