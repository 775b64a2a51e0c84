import { type EventBatch, eventCount } from '../../src/event/event-batch.ts'
import type { Inference } from '../../src/inference/inferrer.ts'
import type { LocalModel } from '../../src/inference/network/local.ts'

export interface FakeLocalModel extends LocalModel {
  /** Batches in progress. */
  readonly underWay: () => number
  readonly isDisposed: () => boolean
}

export interface FakeLocalOptions {
  /** The directions that it returns. */
  readonly azimuth?: number
  readonly zenith?: number
  readonly kappa?: number
  readonly isDegenerate?: boolean
  /** Runs before each answer: wait, or throw. */
  readonly before?: (batch: EventBatch) => void | Promise<void>
  /** Events of these ids have no direction. */
  readonly failsOn?: (eventId: bigint) => boolean
}

/** A model without network and threads. Like a real one, it does not answer after it was disposed of. */
export function fakeLocalModel(options: FakeLocalOptions = {}): FakeLocalModel {
  const { azimuth = 1, zenith = 1, kappa = 1, isDegenerate = false, before, failsOn } = options
  let underWay = 0
  let isDisposed = false
  const identity = { name: 'fake', version: String(azimuth) }
  const infer = async (batch: EventBatch): Promise<Inference> => {
    if (isDisposed) throw new Error('the model is closed')
    underWay++
    try {
      await before?.(batch)
      if (isDisposed) throw new Error('the model was closed during a batch')
      return answer(batch)
    } finally {
      underWay--
    }
  }
  const answer = (batch: EventBatch): Inference => {
    const isFault = Array.from(batch.eventIds, (id) => failsOn?.(id) === true)
    const column = (value: number) => Float64Array.from(isFault, (fails) => (fails ? Number.NaN : value))
    const faults = isFault.flatMap((fails, index) =>
      fails ? [{ index, code: 'model_output_invalid' as const, message: 'NaN' }] : [],
    )
    const degenerate = new Uint8Array(eventCount(batch)).fill(isDegenerate ? 1 : 0)
    return {
      model: identity,
      azimuth: column(azimuth),
      zenith: column(zenith),
      kappa: column(kappa),
      degenerate,
      faults,
    }
  }
  return {
    model: identity,
    manifest: undefined,
    ensemble: undefined,
    graph: undefined,
    parity: undefined,
    concurrency: 2,
    infer,
    async ready() {},
    runTensors: () => Promise.reject(new Error('no network')),
    async [Symbol.asyncDispose]() {
      isDisposed = true
    },
    underWay: () => underWay,
    isDisposed: () => isDisposed,
  }
}
