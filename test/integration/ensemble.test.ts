import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { angularDistance, fromSourceVector } from '../../src/event/direction.ts'
import { type EventBatch, eventCount } from '../../src/event/event-batch.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { listModels, showModel, verifyModel } from '../../src/inference/model/models.ts'
import { type LocalModel, openLocalModel } from '../../src/inference/network/local.ts'
import { buildServer } from '../../src/server/server.ts'
import { SUM_GRAPH, SUM_MANIFEST } from '../support/model-folder.ts'
import { encodeOnnx, type Graph } from '../support/onnx-model.ts'
import { toParity } from '../support/parity.ts'
import { makeEvents } from '../support/plain-events.ts'

/** The sum of the places times a number for each axis: another network with an answer known by heart. */
function scaled(x: number, y: number, z: number): Graph {
  return {
    ...SUM_GRAPH,
    constants: { ...SUM_GRAPH.constants, factors: { dtype: 'float32', shape: [3], data: [x, y, z] } },
    nodes: [
      ...SUM_GRAPH.nodes.slice(0, -1),
      { op: 'Slice', inputs: ['sums', 'zero', 'three', 'one'], outputs: ['places'] },
      { op: 'Mul', inputs: ['places', 'factors'], outputs: ['direction'] },
    ],
  }
}

const kappaOutput = { meaning: 'vector-kappa', tensor: 'direction', axes: ['x', 'y', 'z'], points: 'source' }

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'nustream-ensemble-'))
  onTestFinished(() => rm(root, { recursive: true }))
})

async function writeMember(name: string, network: Graph, changes: object = {}): Promise<void> {
  await mkdir(join(root, name))
  await writeFile(join(root, name, 'model.onnx'), encodeOnnx(network))
  await writeFile(join(root, name, 'model.json'), JSON.stringify({ ...SUM_MANIFEST, name, ...changes }))
}

const DESCRIPTION = {
  formatVersion: 1,
  name: 'both',
  version: '3',
  description: 'Two of them',
  licence: 'Apache-2.0',
  origin: 'made by hand',
  training: { dataDigest: null },
}

/** Writes an ensemble beside its members and gives its folder. */
async function writeEnsemble(members: unknown, changes: object = {}): Promise<string> {
  const folder = join(root, 'both')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'model.json'), JSON.stringify({ ...DESCRIPTION, members, ...changes }))
  return folder
}

async function open(folder: string, threads = 2): Promise<LocalModel> {
  const model = await openLocalModel(folder, { threads })
  onTestFinished(() => model[Symbol.asyncDispose]())
  return model
}

const PAIR = [
  { folder: '../a', weight: 0.75 },
  { folder: '../b', weight: 0.5 },
]

function sumOfPlaces({ offsets, sensorIds }: EventBatch, event: number): [number, number, number] {
  const sum: [number, number, number] = [0, 0, 0]
  for (let row = offsets[event]; row < offsets[event + 1]; row++) {
    for (const axis of sum.keys()) sum[axis] += sensorPositions[sensorIds[row] * 3 + axis]
  }
  return sum
}

describe('an ensemble', () => {
  it('answers with the weighted sum of the raw vectors, turned to the source', async () => {
    // b answers (2y, x, -z) of the sum, travelling: with axes y, x, z and turned round it is -(x, 2y, -z).
    await writeMember('a', scaled(1, 1, 1), { output: kappaOutput })
    await writeMember('b', scaled(1, 2, -1), {
      output: { ...kappaOutput, axes: ['y', 'x', 'z'], points: 'travel' },
      limits: { tokensPerRun: 64, eventsPerRun: 3 },
    })
    const model = await open(await writeEnsemble(PAIR))
    expect(model.model).toEqual({ name: 'both', version: '3' })
    const batch = makeEvents(60, 1, { pulsesPerEvent: 13 })
    const { azimuth, zenith, kappa, faults } = await model.infer(batch)
    expect(faults).toEqual([])
    for (let event = 0; event < eventCount(batch); event++) {
      const [x, y, z] = sumOfPlaces(batch, event)
      // Component 0 of b (1·x) is its y axis, component 1 (2·y) its x axis, component 2 (−z) its z axis.
      const expected = [0.75 * x - 0.5 * 2 * y, 0.75 * y - 0.5 * x, 0.75 * z + 0.5 * z] as const
      const got = { azimuth: azimuth[event], zenith: zenith[event] }
      expect(angularDistance(got, fromSourceVector(...expected))).toBeLessThan(1e-5)
      expect(kappa[event] / (Math.hypot(...expected) / 1.25)).toBeCloseTo(1, 4)
    }
  })

  it('gives no concentration where one of its members gives none', async () => {
    await writeMember('a', scaled(1, 1, 1), { output: kappaOutput })
    await writeMember('b', scaled(1, 1, 1))
    const { kappa, azimuth } = await (await open(await writeEnsemble(PAIR))).infer(makeEvents(3))
    expect([...kappa]).toEqual([Number.NaN, Number.NaN, Number.NaN])
    expect([...azimuth].every(Number.isFinite)).toBe(true)
  })

  it('counts a vector of length 0 as nothing known, and a sum of length 0 as no answer', async () => {
    await writeMember('a', scaled(0, 0, 0), { output: kappaOutput })
    await writeMember('b', scaled(1, 1, 1), { output: kappaOutput })
    const batch = makeEvents(2)
    const { azimuth, zenith, kappa } = await (await open(await writeEnsemble(PAIR))).infer(batch)
    const sum = sumOfPlaces(batch, 1)
    const got = { azimuth: azimuth[1], zenith: zenith[1] }
    expect(angularDistance(got, fromSourceVector(...sum))).toBeLessThan(1e-5)
    expect(kappa[1] / (Math.hypot(...sum) * 0.4)).toBeCloseTo(1, 4)
    const silent = await open(await writeEnsemble([{ folder: '../a', weight: 1 }]))
    expect((await silent.infer(batch)).faults).toMatchObject([
      { index: 0, code: 'model_output_invalid', message: "the members' vectors sum to (0, 0, 0)" },
      { index: 1, code: 'model_output_invalid' },
    ])
  })

  it('clips components before it weights them, if the manifest says so', async () => {
    await writeMember('a', scaled(1e6, 1e6, 1e6), { output: kappaOutput })
    await writeMember('b', scaled(0, 0, 1e-9), { output: kappaOutput })
    const batch = makeEvents(4)
    const { azimuth, zenith, kappa } = await (await open(await writeEnsemble(PAIR, { clip: 1000 }))).infer(
      batch,
    )
    for (let event = 0; event < 4; event++) {
      const [x, y, z] = sumOfPlaces(batch, event).map((sum) => 1000 * Math.sign(sum))
      expect(
        angularDistance({ azimuth: azimuth[event], zenith: zenith[event] }, fromSourceVector(x, y, z)),
      ).toBeLessThan(1e-5)
      expect(kappa[event]).toBeCloseTo((0.75 * 1000 * Math.sqrt(3)) / 1.25, 1)
    }
  })

  it('makes a fault of an event that one member cannot do, and says which', async () => {
    await writeMember('a', scaled(1, 1, 1))
    await writeMember('b', scaled(1, 1, 1), { pulses: { ...SUM_MANIFEST.pulses, min: 5 } })
    const batch = makeEvents(4, 1, { pulsesPerEvent: 6 })
    const short = { ...batch, offsets: Int32Array.of(0, 6, 8, 14, 24) }
    const { faults, azimuth } = await (await open(await writeEnsemble(PAIR))).infer(short)
    expect(faults).toEqual([
      {
        index: 1,
        code: 'model_failed',
        message: 'member b: the event has 2 pulses; the model needs at least 5 (pulses.min)',
      },
    ])
    expect(Array.from(azimuth, Number.isFinite)).toEqual([true, false, true, true])
  })

  it.each(['a', 'b'])('marks an event as degenerate where only member %s does', async (marking) => {
    // The number of an event's pulses, which is never 0.
    const flagged: Graph = {
      ...SUM_GRAPH,
      outputs: [...SUM_GRAPH.outputs, { name: 'flag', dtype: 'float32', shape: ['events'] }],
      nodes: [
        ...SUM_GRAPH.nodes,
        { op: 'ReduceSum', inputs: ['weight', 'one'], outputs: ['flag'], attributes: { keepdims: 0 } },
      ],
    }
    const output = { ...SUM_MANIFEST.output, degenerate: { tensor: 'flag' } }
    for (const name of ['a', 'b'])
      await (name === marking ? writeMember(name, flagged, { output }) : writeMember(name, SUM_GRAPH))
    const { degenerate, faults } = await (await open(await writeEnsemble(PAIR))).infer(makeEvents(3))
    expect(faults).toEqual([])
    expect([...degenerate]).toEqual([1, 1, 1])
  })

  it('is listed, shown with its members, and verified on their fixtures', async () => {
    const batch = makeEvents(3)
    const expected = Array.from({ length: 3 }, (_, event) => fromSourceVector(...sumOfPlaces(batch, event)))
    for (const name of ['a', 'b']) {
      await writeMember(name, scaled(1, 1, 1), { parity: 'parity.json' })
      await writeFile(join(root, name, 'parity.json'), JSON.stringify(toParity(batch, expected)))
    }
    const folder = await writeEnsemble(PAIR)
    const listed = (await listModels([root])).find(({ spec }) => spec === folder)
    expect(listed).toMatchObject({ name: 'both', description: 'Two of them', problem: undefined })
    const shown = await showModel(folder)
    expect(shown.manifest).toMatchObject({ name: 'both', members: PAIR })
    expect(shown.members?.map(({ manifest, graph }) => [manifest?.name, graph?.outputs[0].name])).toEqual([
      ['a', 'direction'],
      ['b', 'direction'],
    ])
    const report = await verifyModel(folder)
    expect(report).toMatchObject({ isSound: true, name: 'both', parity: { events: 6 }, warnings: [] })
  })

  it('is not opened where a member does not answer as its fixture says', async () => {
    await writeMember('a', scaled(1, 1, 1))
    await writeMember('b', scaled(1, 1, 1), { parity: 'parity.json' })
    const wrong = toParity(makeEvents(1), [{ azimuth: 0, zenith: 0 }])
    await writeFile(join(root, 'b', 'parity.json'), JSON.stringify(wrong))
    await expect(openLocalModel(await writeEnsemble(PAIR))).rejects.toMatchObject({
      code: 'model_parity_failed',
    })
    await rm(join(root, 'b', 'model.onnx'))
    await expect(openLocalModel(await writeEnsemble(PAIR))).rejects.toMatchObject({
      code: 'model_missing',
      message: expect.stringContaining(join(root, 'b', 'model.onnx')),
    })
  })

  it.each([
    { name: 'no members', members: [], says: /members is \[\]: must not be empty/ },
    {
      name: 'a weight of 0',
      members: [{ folder: '../a', weight: 0 }],
      says: /members\[0\]\.weight is 0: must be above 0/,
    },
    {
      name: 'a weight that is text',
      members: [{ folder: '../a', weight: '1' }],
      says: /members\[0\]\.weight is "1"/,
    },
    { name: 'no weight', members: [{ folder: '../a' }], says: /members\[0\]\.weight is missing/ },
    {
      name: 'an unknown key',
      members: [{ folder: '../a', weight: 1, axes: [] }],
      says: /members\[0\] has the unknown key "axes": remove it/,
    },
    {
      name: 'a folder that is not there',
      members: [PAIR[0], { folder: '../c', weight: 1 }],
      says: /members\[1\]\.folder is "\.\.\/c": .*c\/model\.json cannot be read/,
    },
    {
      name: 'a member twice',
      members: [PAIR[0], { folder: '../a/', weight: 1 }],
      says: /members\[1\]\.folder is "\.\.\/a\/": is listed already: add up the weights/,
    },
    {
      name: 'an ensemble in an ensemble',
      members: [{ folder: '../both', weight: 1 }],
      says: /members\[0\]\.folder is "\.\.\/both": is an ensemble itself: list its members here/,
    },
    {
      name: 'a member that answers angles',
      members: [{ folder: '../angles', weight: 1 }],
      says: /members\[0\]\.folder is "\.\.\/angles": its output\.meaning is "azimuth-zenith": only vectors/,
    },
    {
      name: 'a member with a manifest of its own fault',
      members: [{ folder: '../broken', weight: 1 }],
      says: /members\[0\]\.folder is "\.\.\/broken": .*output\.axes is \["x"\]/s,
    },
  ])('names $name', async ({ members, says }) => {
    await writeMember('a', scaled(1, 1, 1))
    const angles = {
      meaning: 'azimuth-zenith',
      tensors: ['direction'],
      order: ['azimuth', 'zenith'],
      unit: 'rad',
    }
    await writeMember('angles', scaled(1, 1, 1), { output: { ...angles, points: 'source' } })
    await writeMember('broken', scaled(1, 1, 1), { output: { ...SUM_MANIFEST.output, axes: ['x'] } })
    const folder = await writeEnsemble(members)
    await expect(openLocalModel(folder, { threads: 1 })).rejects.toMatchObject({
      code: 'model_manifest_invalid',
      message: expect.stringMatching(says),
    })
    expect((await listModels([root])).find(({ spec }) => spec === folder)?.problem).toMatch(says)
  })

  it('is served: raw events at /predict, raw pulses in the Open Inference Protocol, and no tensors of a member', async () => {
    await writeMember('a', scaled(1, 1, 1))
    await writeMember('b', scaled(1, 1, 1))
    const model = await open(await writeEnsemble(PAIR), 1)
    const app = buildServer({ model, registry: new Registry(), log: pino({ level: 'silent' }) })
    onTestFinished(() => app.close())
    const columns = { sensor_id: [100, 200], time: [9900, 9950], charge: [1, 1], auxiliary: [false, false] }
    const answer = await app.inject({ method: 'POST', url: '/predict', payload: { pulses: columns } })
    expect(answer.json()).toMatchObject({ model: 'both', version: '3', kappa: null })
    const metadata = (await app.inject({ url: '/v2/models/both' })).json()
    expect(metadata.platform).toBe('nustream_pulses')
    expect(metadata.inputs.map(({ name }: { name: string }) => name)).toContain('sensor_id')
    const input = { name: 'pulses', datatype: 'FP32', shape: [1, 1, 6], data: [1, 2, 3, 4, 5, 6] }
    const refused = await app.inject({
      method: 'POST',
      url: '/v2/models/both/infer',
      payload: { inputs: [input] },
    })
    expect(refused.statusCode).toBe(400)
    await expect(model.runTensors({})).rejects.toMatchObject({
      code: 'model_failed',
      message: 'both is not one network: it takes events, not tensors',
    })
  })
})
