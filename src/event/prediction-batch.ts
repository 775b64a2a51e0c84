import type { Truth } from './event-batch.ts'

/** Who made the predictions of a batch, from what, and when. Times are Unix milliseconds. */
export interface PredictionOrigin {
  readonly batchId: string
  readonly model: string
  readonly modelVersion: string
  readonly consumer: string
  /** When the first event of the batch was due to leave the emitter. */
  readonly emittedAtMs: number
  readonly predictedAtMs: number
}

/** Predictions of the events of one batch. All arrays are [events]; angles in radians. */
export interface PredictionBatch {
  readonly origin: PredictionOrigin
  readonly eventIds: BigInt64Array
  /** Where the neutrino came from, 0 to 2π. */
  readonly azimuth: Float64Array
  /** 0 to π. */
  readonly zenith: Float64Array
  /** Concentration of the von Mises-Fisher distribution; NaN where the model gives none. */
  readonly kappa: Float64Array
  /** 1 where the event fixed no direction and a last resort was taken, otherwise 0. */
  readonly degenerate: Uint8Array
  readonly pulses: Int32Array
  readonly truth?: Truth
  /** When the event happened, as it came with the event: nanoseconds since 1970-01-01 UTC, or `UTC_UNKNOWN`. */
  readonly utc?: BigInt64Array
}
