import { type EventBatch, eventCount } from '../../src/event/event-batch.ts'
import type { Inference, Inferrer } from '../../src/inference/inferrer.ts'

export interface FakeModelOptions {
  readonly concurrency?: number
  /** Runs before each batch is answered: throw, wait, or count. */
  readonly before?: (batch: EventBatch, signal?: AbortSignal) => void | Promise<void>
  readonly ready?: () => Promise<void>
}

/**
 * A model whose answer follows from the event: azimuth is the mean charge of its pulses / 1000, zenith its pulse
 * count / 1000, kappa its first time. An event whose first time is -1 is a fault.
 */
export function fakeModel({ concurrency = 2, before, ready }: FakeModelOptions = {}): Inferrer {
  return {
    model: { name: 'fake', version: '7' },
    concurrency,
    async infer(batch, options) {
      await before?.(batch, options?.signal)
      return inferenceOf(batch)
    },
    async ready() {
      await ready?.()
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Its answer to a batch. */
export function inferenceOf(batch: EventBatch): Inference {
  const count = eventCount(batch)
  const inference = {
    model: { name: 'fake', version: '7' },
    azimuth: new Float64Array(count),
    zenith: new Float64Array(count),
    kappa: new Float64Array(count),
    degenerate: new Uint8Array(count),
    faults: [] as { index: number; code: 'model_failed'; message: string }[],
  }
  for (let i = 0; i < count; i++) {
    const [from, to] = [batch.offsets[i], batch.offsets[i + 1]]
    const charge = batch.charges.subarray(from, to).reduce((sum, each) => sum + each, 0)
    inference.azimuth[i] = charge / (to - from) / 1000
    inference.zenith[i] = (to - from) / 1000
    inference.kappa[i] = batch.times[from]
    if (batch.times[from] !== -1) continue
    inference.faults.push({ index: i, code: 'model_failed', message: 'too few pulses' })
    inference.azimuth[i] = inference.zenith[i] = inference.kappa[i] = Number.NaN
  }
  return inference
}
