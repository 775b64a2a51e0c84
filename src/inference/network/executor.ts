import type { EventBatch } from '../../event/event-batch.ts'
import type { Answers } from '../answers.ts'
import type { GraphInfo, NamedTensors } from '../tensors/tensor.ts'

/** A model inside a worker thread. Not for concurrent use: one call at a time. */
export interface Executor {
  /** Real inputs and outputs of the network; undefined for a model without one. */
  readonly graph: GraphInfo | undefined
  /** Answers all events of a batch; `runSizes` are consecutive events that share a run and sum to all of them. */
  answer(batch: EventBatch, runSizes: readonly number[]): Promise<Answers>
  /** @throws Error where the network refuses the tensors */
  runTensors(inputs: NamedTensors, outputs: readonly string[] | undefined): Promise<NamedTensors>
  release(): Promise<void>
}
