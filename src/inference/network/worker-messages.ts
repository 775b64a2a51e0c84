import type { EventBatch } from '../../event/event-batch.ts'
import type { Directions, InferenceFault } from '../directions.ts'
import type { Member } from '../model/folder.ts'
import type { EnsembleManifest, ModelManifest } from '../model/manifest.ts'
import type { GraphInfo, NamedTensors } from '../tensors/tensor.ts'
import type { PackedEvents } from './packed-events.ts'

/** What a worker is started with. */
export type WorkerModel = (
  | { readonly kind: 'linefit' }
  | { readonly kind: 'onnx'; readonly folder: string; readonly manifest: ModelManifest }
  | {
      readonly kind: 'ensemble'
      readonly folder: string
      readonly manifest: EnsembleManifest
      readonly members: readonly Member[]
    }
) & {
  /** Run only where no other thread of the machine wants the processor. */
  readonly isBackground?: boolean
}

export type Job =
  | { readonly kind: 'events'; readonly events: PackedEvents; readonly runSizes: readonly number[] }
  | {
      readonly kind: 'tensors'
      readonly inputs: NamedTensors
      readonly outputs: readonly string[] | undefined
    }

export type JobAnswer =
  /** The answers themselves lie in the job's block. */
  | { readonly kind: 'events'; readonly faults: readonly InferenceFault[] }
  | { readonly kind: 'tensors'; readonly outputs: NamedTensors }

export type ToWorker =
  | { readonly kind: 'job'; readonly id: number; readonly job: Job }
  /** Finish what came before, give the model back, end the thread. */
  | { readonly kind: 'close' }

export type FromWorker =
  | { readonly kind: 'ready'; readonly graph: GraphInfo | undefined }
  /** The model cannot be loaded; the thread ends. */
  | { readonly kind: 'unreadable'; readonly message: string }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: JobAnswer }
  | { readonly kind: 'failed'; readonly id: number; readonly message: string }

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
