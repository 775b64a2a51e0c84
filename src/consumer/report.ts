import type { PredictionBatch } from '../event/prediction-wire.ts'
import { LogHistogram } from '../telemetry/log-histogram.ts'

/** What a consumer has done so far. NaN where there was nothing to measure. */
export interface ConsumeReport {
  readonly predicted: number
  readonly deadLettered: number
  /** Events of batches that had been settled before. */
  readonly repeated: number
  readonly batches: number
  /** Predicted events that fixed no direction, so that a last resort was taken. */
  readonly degenerate: number
  /** From emitted to stored, weighted by events; right within 2.5 %. */
  readonly latencyMs: { readonly p50: number; readonly p99: number }
  /** Over the events whose truth is known, radians. */
  readonly meanAngularErrorRad: number
  /** Events whose truth is known. */
  readonly withTruth: number
  /** From the first delivery to the last settlement. */
  readonly seconds: number
  readonly eventsPerSecond: number
  /** The time to finish what was on loan ran out, and some of it was given back. */
  readonly gaveUp: boolean
}

/** One batch that was settled for the first time. */
export interface SettledBatch {
  readonly predicted: number
  readonly deadLettered: number
  /** Predicted events that fixed no direction, so that the model fell back to a default. */
  readonly degenerate: number
  /** From emitted to stored; undefined where the producer did not say when it was emitted. */
  readonly latencyMs: number | undefined
  readonly predictions: PredictionBatch | undefined
  /** Radians; NaN where there is no truth. [predicted] */
  readonly angularErrors: Float64Array | undefined
}

/** Counts what a consumer does in a few kilobytes, for the account at the end and a live status line. */
export class ConsumeTally {
  readonly #latencyMs = new LogHistogram()
  #predicted = 0
  #deadLettered = 0
  #repeated = 0
  #batches = 0
  #degenerate = 0
  #withTruth = 0
  #angularErrorSum = 0
  #startedAt: number | undefined
  #endedAt = 0

  /** A delivery has come. */
  start(): void {
    this.#startedAt ??= performance.now()
  }

  addSettled(batch: Omit<SettledBatch, 'predictions'>): void {
    this.#batches++
    this.#predicted += batch.predicted
    this.#deadLettered += batch.deadLettered
    this.#degenerate += batch.degenerate
    this.#endedAt = performance.now()
    if (batch.latencyMs !== undefined) this.#latencyMs.add(batch.latencyMs, batch.predicted)
    for (const error of batch.angularErrors ?? []) {
      if (Number.isNaN(error)) continue
      this.#withTruth++
      this.#angularErrorSum += error
    }
  }

  /** A batch that had been settled before. */
  addRepeat(events: number): void {
    this.#repeated += events
    this.#endedAt = performance.now()
  }

  report({ gaveUp = false } = {}): ConsumeReport {
    const seconds = this.#startedAt === undefined ? 0 : Math.max(0, this.#endedAt - this.#startedAt) / 1000
    return {
      predicted: this.#predicted,
      deadLettered: this.#deadLettered,
      repeated: this.#repeated,
      batches: this.#batches,
      degenerate: this.#degenerate,
      latencyMs: { p50: this.#latencyMs.quantile(0.5), p99: this.#latencyMs.quantile(0.99) },
      meanAngularErrorRad: this.#angularErrorSum / this.#withTruth,
      withTruth: this.#withTruth,
      seconds,
      eventsPerSecond: seconds > 0 ? this.#predicted / seconds : 0,
      gaveUp,
    }
  }
}
