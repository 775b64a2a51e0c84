import type { EventBatch } from '../../event/event-batch.ts'
import type { Directions } from '../directions.ts'
import type { GraphInfo, NamedTensors } from '../tensors/tensor.ts'

/** A model inside a worker thread. Not for concurrent use: one call at a time. */
export interface Executor {
  /** Real inputs and outputs of the network; undefined for a model without one. */
  readonly graph: GraphInfo | undefined
  /** Directions of all events of a batch. `runSizes` counts the consecutive events of each run; their sum is all events. */
  answer(batch: EventBatch, runSizes: readonly number[]): Promise<Directions>
  /** @throws Error where the network refuses the tensors */
  runTensors(inputs: NamedTensors, outputs: readonly string[] | undefined): Promise<NamedTensors>
  release(): Promise<void>
}
