import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { angularDistance } from '../../src/event/direction.ts'
import { eventCount, sliceEvents } from '../../src/event/event-batch.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import {
  eventsOfLengths,
  openModel,
  SUM_GRAPH,
  SUM_MANIFEST,
  sumDirection,
  writeModelFolder,
} from '../support/model-folder.ts'
import type { Graph } from '../support/onnx-model.ts'
import { toParity } from '../support/parity.ts'
import { makeEvents } from '../support/plain-events.ts'

const lengths = Array.from({ length: 300 }, (_, i) => 1 + ((i * 37) % 150))

describe('openLocalModel()', () => {
  it('answers every event as the network does, whatever shares its run', async () => {
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }))
    const batch = eventsOfLengths(lengths)
    const inference = await model.infer(batch)
    expect(inference.model).toEqual({ name: 'sum', version: '1' })
    expect(inference.faults).toEqual([])
    for (let event = 0; event < eventCount(batch); event++) {
      const got = { azimuth: inference.azimuth[event], zenith: inference.zenith[event] }
      expect(angularDistance(got, sumDirection(batch, event))).toBeLessThan(1e-5)
    }
  })

  it('answers an event alone as it answers it among others', async () => {
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }))
    const batch = eventsOfLengths(lengths.slice(0, 40))
    const together = await model.infer(batch)
    for (let event = 0; event < 40; event++) {
      const alone = await model.infer(sliceEvents(batch, event, event + 1))
      expect(alone.azimuth[0]).toBeCloseTo(together.azimuth[event], 5)
      expect(alone.zenith[0]).toBeCloseTo(together.zenith[event], 5)
    }
  })

  it('keeps apart requests that are in flight together', async () => {
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }))
    const batch = eventsOfLengths(lengths)
    const parts = Array.from({ length: 100 }, (_, i) => sliceEvents(batch, 3 * i, 3 * i + 3))
    const answers = await Promise.all(parts.map((part) => model.infer(part)))
    for (const [i, { azimuth, zenith }] of answers.entries()) {
      for (const event of [0, 1, 2]) {
        const got = { azimuth: azimuth[event], zenith: zenith[event] }
        expect(angularDistance(got, sumDirection(parts[i], event))).toBeLessThan(1e-5)
      }
    }
  })

  it('answers an empty batch', async () => {
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }))
    expect((await model.infer(makeEvents(0))).azimuth).toHaveLength(0)
  })

  it('finishes what runs when it is closed, and refuses what comes later', async () => {
    const model = await openLocalModel(
      await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }),
      {
        threads: 1,
      },
    )
    const running = model.infer(eventsOfLengths([50]))
    await model[Symbol.asyncDispose]()
    expect((await running).faults).toEqual([])
    await expect(model.ready()).rejects.toMatchObject({ code: 'model_worker_died' })
    await expect(async () => model.infer(eventsOfLengths([50]))).rejects.toMatchObject({
      disposition: 'retry',
    })
  })

  it('stops waiting for a cancelled answer', async () => {
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }))
    const abort = new AbortController()
    const asked = model.infer(eventsOfLengths(lengths), { signal: abort.signal })
    abort.abort(new Error('no longer wanted'))
    await expect(asked).rejects.toThrow('no longer wanted')
    expect((await model.infer(eventsOfLengths([3]))).faults).toEqual([])
  })
})

const passThrough = (op: string): Graph => ({
  ...SUM_GRAPH,
  nodes: [...SUM_GRAPH.nodes.slice(0, -1), ...lastNodes(op)],
})

/** The sum's slice, then an operator on it. */
function lastNodes(op: string): Graph['nodes'] {
  return [
    { op: 'Slice', inputs: ['sums', 'zero', 'three', 'one'], outputs: ['sliced'] },
    { op, inputs: ['sliced'], outputs: ['direction'] },
  ]
}

describe('one bad event', () => {
  it('is a fault where the network answers NaN, and its neighbours are answered', async () => {
    // The square root of a negative sum is NaN: only events whose three sums are positive are answered.
    const model = await openModel(
      await writeModelFolder({ network: passThrough('Sqrt'), manifest: SUM_MANIFEST }),
    )
    const batch = eventsOfLengths(lengths.slice(0, 60))
    const { faults, azimuth } = await model.infer(batch)
    const isAnswered = Array.from(azimuth, Number.isFinite)
    expect(faults.length).toBeGreaterThan(0)
    expect(isAnswered).toContain(true)
    expect(faults.map(({ index }) => index)).toEqual([...isAnswered.keys()].filter((i) => !isAnswered[i]))
    expect(faults[0]).toMatchObject({ code: 'model_output_invalid', message: expect.stringMatching(/NaN/) })
  })

  it('is a fault where the network answers a null vector', async () => {
    const model = await openModel(
      await writeModelFolder({ network: passThrough('Floor'), manifest: scaledDown() }),
    )
    const { faults } = await model.infer(eventsOfLengths([1, 1]))
    expect(faults[0]).toMatchObject({
      code: 'model_output_invalid',
      message: expect.stringMatching(/vector/),
    })
  })

  it('stands alone at the end of halving where the network throws on it', async () => {
    const model = await openModel(
      await writeModelFolder({ network: GATHER_GRAPH, manifest: gatherManifest() }),
      1,
    )
    const batch = eventsOfLengths(new Array<number>(64).fill(4))
    batch.sensorIds.fill(7)
    batch.sensorIds[batch.offsets[20]] = 4000
    const { faults, azimuth } = await model.infer(batch)
    expect(faults).toEqual([
      {
        index: 20,
        code: 'model_failed',
        message: expect.stringMatching(/fails on this event alone: .*indices/s),
      },
    ])
    expect(Array.from(azimuth, Number.isFinite).filter(Boolean)).toHaveLength(63)
  })

  it('is a fault that names the limit where it is too long for the network', async () => {
    const manifest = { ...SUM_MANIFEST, limits: { pulsesPerEvent: 100 } }
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest }))
    const { faults } = await model.infer(eventsOfLengths([100, 178_250, 3]))
    expect(faults).toEqual([
      {
        index: 1,
        code: 'model_failed',
        message:
          'the event has 178250 pulses; the model takes at most 100 (limits.pulsesPerEvent in model.json)',
      },
    ])
  })
})

describe('a network that cannot see padding', () => {
  it('is never given any', async () => {
    const model = await openModel(
      await writeModelFolder({ network: GATHER_GRAPH, manifest: gatherManifest() }),
    )
    const batch = eventsOfLengths(lengths.slice(0, 60))
    batch.sensorIds.forEach((sensor, row) => {
      batch.sensorIds[row] = sensor % 100
    })
    const together = await model.infer(batch)
    for (let event = 0; event < 60; event++) {
      const alone = await model.infer(sliceEvents(batch, event, event + 1))
      expect(together.azimuth[event]).toBeCloseTo(alone.azimuth[0], 5)
      expect(together.zenith[event]).toBeCloseTo(alone.zenith[0], 5)
    }
  })

  it('that takes one event a run gets one event a run', async () => {
    const inputs = [{ name: 'sensors', dtype: 'int64', shape: [1, 'pulses'] }] as const
    const network = { ...GATHER_GRAPH, inputs }
    const refused = await writeModelFolder({ network, manifest: gatherManifest() })
    await expect(openLocalModel(refused, { threads: 1 })).rejects.toMatchObject({
      code: 'model_manifest_invalid',
      message: expect.stringMatching(
        /the batch size of "sensors" is fixed at 1: set limits\.eventsPerRun to 1/,
      ),
    })
    const manifest = { ...gatherManifest(), limits: { eventsPerRun: 1 } }
    const model = await openModel(await writeModelFolder({ network, manifest }))
    const batch = eventsOfLengths([3, 3, 3])
    batch.sensorIds.fill(5)
    expect((await model.infer(batch)).faults).toEqual([])
  })
})

/** Places divided so far that their floor is 0 or -1. */
function scaledDown() {
  const manifest = structuredClone(SUM_MANIFEST)
  const features = manifest.inputs[0].features ?? []
  manifest.inputs[0].features = features.map((spec) => ({ ...spec, scale: 1e9, clip: [0, 1] }))
  return manifest
}

/** Looks each sensor up in a table of only 100 rows, so that a higher sensor id makes the network throw. */
const GATHER_GRAPH: Graph = {
  inputs: [{ name: 'sensors', dtype: 'int64', shape: ['events', 'pulses'] }],
  outputs: [{ name: 'direction', dtype: 'float32', shape: ['events', 3] }],
  constants: {
    table: { dtype: 'float32', shape: [100, 3], data: Array.from({ length: 300 }, (_, i) => 1 + (i % 5)) },
    one: { dtype: 'int64', shape: [1], data: [1] },
  },
  nodes: [
    { op: 'Gather', inputs: ['table', 'sensors'], outputs: ['rows'] },
    { op: 'ReduceSum', inputs: ['rows', 'one'], outputs: ['direction'], attributes: { keepdims: 0 } },
  ],
}

function gatherManifest() {
  const features = [{ column: 'sensorId', unit: '1' }]
  return { ...SUM_MANIFEST, inputs: [{ name: 'sensors', layout: 'padded-column', dtype: 'int64', features }] }
}

describe('a broken model folder', () => {
  it.each([
    {
      name: 'without a network',
      network: undefined,
      code: 'model_missing',
      says: /model\.onnx cannot be read/,
    },
    {
      name: 'with garbage for a network',
      network: new TextEncoder().encode('not a network'),
      code: 'model_unreadable',
      says: /model\.onnx cannot be loaded: .+/,
    },
  ])('$name is named', async ({ network, code, says }) => {
    const folder = await writeModelFolder({ ...(network && { network }), manifest: SUM_MANIFEST })
    await expect(openLocalModel(folder, { threads: 2 })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(says),
    })
  })

  it('with a truncated network is named', async () => {
    const folder = await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST })
    await truncate(join(folder, 'model.onnx'), 200)
    await expect(openLocalModel(folder, { threads: 1 })).rejects.toMatchObject({ code: 'model_unreadable' })
  })

  it.each([
    {
      name: 'input name',
      from: '"padding","layout"',
      to: '"mask","layout"',
      says: /inputs\[1\]\.name is "mask": the network's inputs are "pulses", "padding"/,
    },
    {
      name: 'input type',
      from: '"dtype":"bool"',
      to: '"dtype":"float32"',
      says: /inputs\[1\]\.dtype is "float32": the network's input "padding" takes bool/,
    },
    {
      name: 'rank',
      from: '"layout":"mask"',
      to: '"layout":"event-column","features":[{"column":"pulseCount","unit":"1"}]',
      says: /inputs\[1\]: layout "event-column" makes 1 dimensions/,
    },
    {
      name: 'number of features',
      from: '{"column":"charge","unit":"p.e."},',
      to: '',
      says: /inputs\[0\]\.features has 5 entries: .* takes 6/,
    },
    {
      name: 'output name',
      from: '"tensor":"direction"',
      to: '"tensor":"vector"',
      says: /output reads "vector": the network's outputs are "direction"/,
    },
  ])('whose manifest has another $name than the network is named', async ({ from, to, says }) => {
    const manifest = JSON.stringify(SUM_MANIFEST)
      .replace(from, to)
      .replace(to.includes('event-column') ? ',"trueMeans":"padding"' : '\0', '')
    const folder = await writeModelFolder({ network: SUM_GRAPH, manifest })
    await expect(openLocalModel(folder, { threads: 1 })).rejects.toMatchObject({
      code: 'model_manifest_invalid',
      message: expect.stringMatching(says),
    })
  })
})

describe('the parity fixture', () => {
  const batch = eventsOfLengths([5, 1, 300, 17])
  const right = [0, 1, 2, 3].map((event) => sumDirection(batch, event))
  const manifest = { ...SUM_MANIFEST, parity: 'parity.json' }

  it('proves a model', async () => {
    const model = await openModel(
      await writeModelFolder({ network: SUM_GRAPH, manifest, parity: toParity(batch, right) }),
    )
    expect(model.parity).toMatchObject({ events: 4, toleranceRad: 1e-5 })
    expect(model.parity?.worstRad).toBeLessThan(1e-5)
  })

  it('fails by naming the event, both directions and their distance', async () => {
    const wrong = right.with(2, { azimuth: right[2].azimuth, zenith: right[2].zenith + 0.01 })
    const folder = await writeModelFolder({ network: SUM_GRAPH, manifest, parity: toParity(batch, wrong) })
    await expect(openLocalModel(folder, { threads: 1 })).rejects.toMatchObject({
      code: 'model_parity_failed',
      message: expect.stringMatching(
        /event 2: expected azimuth .* zenith .*, got azimuth .*: 1\.000e-2 rad apart, allowed 0\.00001/,
      ),
    })
  })

  it('fails by naming the tensor and the value that differ', async () => {
    const parity = toParity(sliceEvents(batch, 1, 2), right.slice(1, 2))
    const values = { padding: { shape: [1, 1], data: [true] } }
    const folder = await writeModelFolder({
      network: SUM_GRAPH,
      manifest,
      parity: { ...parity, tensors: { tolerance: 1e-5, values } },
    })
    await expect(openLocalModel(folder, { threads: 1 })).rejects.toMatchObject({
      code: 'model_parity_failed',
      message: expect.stringMatching(/tensor "padding", value 0 \(row-major\): expected 1, got 0/),
    })
  })

  it('that is missing is named', async () => {
    const folder = await writeModelFolder({ network: SUM_GRAPH, manifest })
    await expect(openLocalModel(folder, { threads: 1 })).rejects.toMatchObject({
      code: 'model_missing',
      message: expect.stringMatching(/parity\.json cannot be read/),
    })
  })
})

describe('runTensors()', () => {
  const pulses = {
    dtype: 'float32',
    shape: [1, 2, 6],
    data: Float32Array.from([1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0, 0]),
  } as const
  const padding = { dtype: 'bool', shape: [1, 2], data: Uint8Array.from([0, 0]) } as const

  it('gives what the network gives', async () => {
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }), 1)
    const { direction } = await model.runTensors({ pulses, padding })
    expect(direction).toEqual({ dtype: 'float32', shape: [1, 3], data: Float32Array.from([5, 7, 9]) })
  })

  it.each([
    { name: 'a missing input', inputs: { pulses }, says: /input "padding" is missing/ },
    { name: 'an unknown input', inputs: { pulses, padding, extra: padding }, says: /no input "extra"/ },
    {
      name: 'another type',
      inputs: { pulses: { ...pulses, dtype: 'float64' as const }, padding },
      says: /"pulses" is float64: the model takes float32/,
    },
    {
      name: 'another shape',
      inputs: { pulses: { ...pulses, shape: [2, 1, 5] }, padding },
      says: /"pulses" has the shape \[2,1,5\]/,
    },
    {
      name: 'too few values',
      inputs: { pulses: { ...pulses, shape: [1, 3, 6] }, padding },
      says: /"pulses" has 12 values: its shape \[1,3,6\] needs 18/,
    },
    {
      name: 'tensors that do not fit together',
      inputs: { pulses, padding: { ...padding, shape: [2, 1] } },
      says: /dimension 0 of input "padding" is 2, but input "pulses" has 1/,
    },
  ])('refuses $name by name', async ({ inputs, says }) => {
    const model = await openModel(await writeModelFolder({ network: SUM_GRAPH, manifest: SUM_MANIFEST }), 1)
    await expect(model.runTensors(inputs)).rejects.toMatchObject({
      code: 'model_failed',
      message: expect.stringMatching(says),
    })
  })
})
