import type { DriftReference } from '../drift/reference.ts'
import type { EventErrorCode } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'

export interface ModelIdentity {
  readonly name: string
  readonly version: string
}

/** Why one event has no direction. */
export interface InferenceFault {
  /** Index of the event in the batch asked for. */
  readonly index: number
  readonly code: EventErrorCode
  readonly message: string
}

/** Directions in the order of the events asked for; NaN at the index of a fault. All arrays [events], radians. */
export interface Inference {
  readonly model: ModelIdentity
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
  /** Concentration; NaN where the model gives none. */
  readonly kappa: Float64Array
  /** 1 where a last resort was taken because the event fixes no direction. */
  readonly degenerate: Uint8Array
  readonly faults: readonly InferenceFault[]
}

/** Whatever turns events into directions: a model folder in this process, or a model server. */
export interface Inferrer extends AsyncDisposable {
  /** Known once ready; a server may change it by swapping models. */
  readonly model: ModelIdentity
  /** What the events that the model was trained on looked like, where its manifest says so; changes with the model. */
  readonly reference?: DriftReference | undefined
  /** Batches that it can usefully hold at once. */
  readonly concurrency: number
  /**
   * Events have passed the checks of `decodeEventBatch`. One event that the model cannot do is a fault; it never
   * fails its neighbours. `traceparent` is the span that asks, for a model server that keeps spans too.
   * @throws UnavailableError when asking again later may help
   * @throws EventError `model_failed` when the model failed on this batch as a whole: halve it and ask again
   */
  infer(batch: EventBatch, signal?: AbortSignal, traceparent?: string): Promise<Inference>
  /** @throws UnavailableError when it could not answer `infer` now */
  ready(): Promise<void>
}
