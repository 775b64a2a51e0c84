import type { ModelManifest } from '../../src/inference/model/manifest.ts'
import type { NamedTensors } from '../../src/inference/tensors/tensor.ts'
import type { ServedModel } from '../../src/server/serving.ts'
import { fakeModel } from './fake-model.ts'

/** Rows and requested outputs of each call of runTensors. */
export interface NetworkCall {
  readonly rows: number
  readonly outputs: readonly string[] | undefined
}

// Only the fields of a manifest that the server reads.
const manifest = {
  inputs: [
    { name: 'pulses', layout: 'padded', features: [{}, {}] },
    { name: 'mask', layout: 'mask' },
    { name: 'weight', layout: 'event-column' },
  ],
  limits: { pulsesPerEvent: 4096, tokensPerRun: 64, eventsPerRun: 64 },
} as unknown as ModelManifest

/**
 * A network that can be checked by hand: `sum` of the two features of all unmasked pulses times the event's weight,
 * `count` of those pulses, and `any`.
 */
export function fakeNetwork(before?: () => Promise<void>): { model: ServedModel; calls: NetworkCall[] } {
  const calls: NetworkCall[] = []
  const model: ServedModel = {
    ...fakeModel(),
    manifest,
    graph: {
      inputs: [
        { name: 'pulses', dtype: 'float32', shape: ['events', 'pulses', 2] },
        { name: 'mask', dtype: 'bool', shape: ['events', 'pulses'] },
        { name: 'weight', dtype: 'int64', shape: ['events'] },
      ],
      outputs: [
        { name: 'sum', dtype: 'float32', shape: ['events'] },
        { name: 'count', dtype: 'int64', shape: ['events'] },
        { name: 'any', dtype: 'bool', shape: ['events'] },
      ],
    },
    async runTensors(inputs, { outputs } = {}) {
      calls.push({ rows: inputs['pulses'].shape[0], outputs })
      await before?.()
      const all = compute(inputs)
      return Object.fromEntries(Object.entries(all).filter(([name]) => outputs?.includes(name) ?? true))
    },
  }
  return { model, calls }
}

function compute({ pulses, mask, weight }: NamedTensors): NamedTensors {
  const [events, length] = pulses.shape
  const sum = new Float32Array(events)
  const count = new BigInt64Array(events)
  for (let i = 0; i < events * length; i++) {
    if (!mask.data[i]) continue
    const event = Math.floor(i / length)
    sum[event] += Number(pulses.data[2 * i]) + Number(pulses.data[2 * i + 1])
    count[event] += 1n
  }
  for (let event = 0; event < events; event++) sum[event] *= Number(weight.data[event])
  return {
    sum: { dtype: 'float32', shape: [events], data: sum },
    count: { dtype: 'int64', shape: [events], data: count },
    any: { dtype: 'bool', shape: [events], data: Uint8Array.from(count, (each) => Number(each > 0n)) },
  }
}
