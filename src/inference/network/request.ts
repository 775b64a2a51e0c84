import type { EventBatch } from '../../event/event-batch.ts'
import type { Directions } from '../directions.ts'
import type { NamedTensors } from '../tensors/tensor.ts'
import type { Job, JobAnswer } from './worker-messages.ts'

/** One call of the queue that has not got its answer yet. */
interface Pending<Answer> {
  /** Events, or rows of tensors. */
  readonly size: number
  readonly queuedMs: number
  /** True once it was answered, refused, given up by its caller, or out of time. */
  isSettled: boolean
  /** True until workers are to get it. */
  isWaiting: boolean
  /** Harmless once settled, as is `reject`. */
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export interface EventsRequest extends Pending<Directions> {
  readonly kind: 'events'
  readonly batch: EventBatch
  readonly directions: Directions
  /** Shares no run with events of other requests. */
  readonly isAlone: boolean
  /** Events without an answer. */
  remaining: number
}

/** Tensors for the network and the outputs wanted of it; all outputs where undefined. */
export interface TensorCall {
  readonly inputs: NamedTensors
  readonly outputs: readonly string[] | undefined
  /** How the tensors can be split along their first axis, and joined with those of others; undefined where they cannot. */
  readonly rows?: { readonly count: number; readonly perRun: number } | undefined
}

export interface TensorsRequest extends Pending<NamedTensors> {
  readonly kind: 'tensors'
  readonly call: TensorCall
}

export type Request = EventsRequest | TensorsRequest

/** A piece of work for one worker. It is built only when a worker is free. */
export interface PlannedJob {
  /** Events, or rows of tensors. */
  readonly size: number
  /** False once nobody waits for any of it. */
  isWanted(): boolean
  build(): Job
  /** Hands the answer to the requests that it belongs to. */
  deliver(answer: JobAnswer): void
  /** Fails those requests, or gives the jobs that try them anew. */
  fail(error: unknown): readonly PlannedJob[]
}
