import { expect, it } from 'vitest'
import { angularDistance, fromSourceVector } from '../../src/event/direction.ts'
import { eventCount } from '../../src/event/event-batch.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { SUM_GRAPH, SUM_MANIFEST, writeModelFolder } from '../support/model-folder.ts'
import type { Graph } from '../support/onnx-model.ts'
import { makeEvents } from '../support/plain-events.ts'

/** SUM_GRAPH and its manifest with pulses and direction in float16; scaled, so that no sum leaves its range. */
function halfPrecisionFolder(): Promise<string> {
  const half = { dtype: 'float16' } as const
  const toHalf = { to: 10 }
  const [pulses, padding] = SUM_GRAPH.inputs
  const network: Graph = {
    ...SUM_GRAPH,
    inputs: [{ ...pulses, ...half }, padding],
    outputs: [{ ...SUM_GRAPH.outputs[0], ...half }],
    nodes: SUM_GRAPH.nodes.map((node) => (node.op === 'Cast' ? { ...node, attributes: toHalf } : node)),
  }
  const [spec, mask] = SUM_MANIFEST.inputs
  const features = spec.features?.map((each) => ({ ...each, scale: 20_000 }))
  const manifest = { ...SUM_MANIFEST, inputs: [{ ...spec, ...half, features }, mask] }
  return writeModelFolder({ network, manifest })
}

it('a network in half precision answers from features and with vectors in half precision', async () => {
  await using model = await openLocalModel(await halfPrecisionFolder(), { threads: 1 })
  const batch = makeEvents(12)
  const inference = await model.infer(batch)
  expect(inference.faults).toEqual([])
  for (let event = 0; event < eventCount(batch); event++) {
    const sum = [0, 0, 0]
    for (let row = batch.offsets[event]; row < batch.offsets[event + 1]; row++) {
      for (const axis of sum.keys()) sum[axis] += sensorPositions[batch.sensorIds[row] * 3 + axis]
    }
    const got = { azimuth: inference.azimuth[event], zenith: inference.zenith[event] }
    // Half precision has 11 bits.
    expect(angularDistance(got, fromSourceVector(sum[0], sum[1], sum[2]))).toBeLessThan(0.02)
  }
})

it('tensors in half precision come and go as they are', async () => {
  await using model = await openLocalModel(await halfPrecisionFolder(), { threads: 1 })
  const pulses = Float16Array.of(1, 0.5, -0.25, 0, 0, 0, 2, 0.5, 0.125, 0, 0, 0)
  const { direction } = await model.runTensors({
    pulses: { dtype: 'float16', shape: [1, 2, 6], data: pulses },
    padding: { dtype: 'bool', shape: [1, 2], data: Uint8Array.of(0, 0) },
  })
  expect(direction).toEqual({ dtype: 'float16', shape: [1, 3], data: Float16Array.of(3, 1, -0.125) })
})
