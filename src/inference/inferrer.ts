import type { DriftReference } from '../drift/reference.ts'
import type { UnavailableCode } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'
import type { Directions } from './directions.ts'
import type { ModelFailure } from './isolate.ts'

export interface ModelIdentity {
  readonly name: string
  readonly version: string
}

/** Directions of the events asked for, and the model that found them. */
export interface Inference extends Directions {
  readonly model: ModelIdentity
}

export interface InferOptions {
  /** Ends the call. */
  readonly signal?: AbortSignal | undefined
  /** The span that asks, for a model server that keeps spans too. */
  readonly traceparent?: string | undefined
  /** Called before the model is asked again within the call: it failed on some of the events, or went away. */
  readonly onRetry?: ((reason: ModelFailure | UnavailableCode, error: unknown) => void) | undefined
}

/** What an operator is told of one model server. */
export interface ModelServerStatus {
  readonly server: string
  /** False after a failed request, until its health check succeeds. */
  readonly isUp: boolean
  /** Why it is not up. */
  readonly problem?: string
  readonly answered: number
  readonly failed: number
  /** Requests sent to it because another server was slow. */
  readonly hedged: number
}

/** Turns events into directions: a model folder in this process, or a model server. */
export interface Inferrer extends AsyncDisposable {
  /** Known once `ready` has resolved. A model server may change it at any time by swapping models. */
  readonly model: ModelIdentity
  /** Histograms of the events that the model was trained on, where its manifest has them; they change with the model. */
  readonly reference?: DriftReference | undefined
  /** The model servers behind it, where there are any. */
  readonly servers?: readonly ModelServerStatus[]
  /** Batches that it can work on at once. */
  readonly concurrency: number
  /**
   * Directions of events that have passed the checks of `decodeEventBatch`. Never throws because of an event: an event
   * that the model cannot answer is a fault, and its neighbours get their directions
   * (`isolate` finds it).
   * @throws UnavailableError when the model is away and asking again later may help
   * @throws the signal's reason once it aborts
   */
  infer(batch: EventBatch, options?: InferOptions): Promise<Inference>
  /** @throws UnavailableError when it could not answer `infer` now */
  ready(): Promise<void>
}
