import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { angularDistance } from '../../src/event/direction.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import {
  eventsOfLengths,
  openModel,
  SUM_GRAPH,
  SUM_MANIFEST,
  sumDirection,
  writeModelFolder,
} from '../support/model-folder.ts'
import { type Constant, constantBytes, type Graph, type Value } from '../support/onnx-model.ts'
import { toParity } from '../support/parity.ts'

const lengths = Array.from({ length: 60 }, (_, i) => 1 + ((i * 37) % 150))

/** SUM_GRAPH for pulses along the last axis. */
const CHANNELS_FIRST: Graph = {
  ...SUM_GRAPH,
  inputs: [{ name: 'pulses', dtype: 'float32', shape: ['events', 6, 'pulses'] }, SUM_GRAPH.inputs[1]],
  nodes: [
    ...SUM_GRAPH.nodes.slice(0, 2),
    { op: 'Unsqueeze', inputs: ['weight', 'one'], outputs: ['weights'] },
    { op: 'Mul', inputs: ['pulses', 'weights'], outputs: ['weighted'] },
    { op: 'ReduceSum', inputs: ['weighted', 'last'], outputs: ['sums'], attributes: { keepdims: 0 } },
    ...SUM_GRAPH.nodes.slice(-1),
  ],
}

const [PULSES, PADDING] = SUM_MANIFEST.inputs

describe('a network that takes [events, features, pulses]', () => {
  const transposed = { ...SUM_MANIFEST, inputs: [{ ...PULSES, layout: 'padded-transposed' }, PADDING] }

  it('answers with the layout "padded-transposed", whatever shares a run, and is proved by its fixture', async () => {
    const batch = eventsOfLengths(lengths)
    const expected = Array.from({ length: 60 }, (_, event) => sumDirection(batch, event))
    const model = await openModel(
      await writeModelFolder({
        network: CHANNELS_FIRST,
        manifest: { ...transposed, parity: 'parity.json' },
        parity: toParity(batch, expected),
      }),
    )
    expect(model.parity?.events).toBe(60)
    const { azimuth, zenith } = await model.infer(batch)
    for (let event = 0; event < 60; event++)
      expect(
        angularDistance({ azimuth: azimuth[event], zenith: zenith[event] }, expected[event]),
      ).toBeLessThan(1e-5)
  })

  it.each([
    { name: 'of a free length', shape: ['events', 6, 'pulses'], more: {} },
    { name: 'of a fixed length', shape: ['events', 6, 128], more: {} },
    {
      name: 'with a fixed padded length of as many pulses as features',
      shape: ['events', 6, 'pulses'],
      more: { paddedLength: { fixed: 6 }, pulses: { ...SUM_MANIFEST.pulses, max: 6 } },
    },
  ])(
    'and a manifest with the layout "padded", $name: the likely transposition is named',
    async ({ shape, more }) => {
      const network = {
        ...CHANNELS_FIRST,
        inputs: [{ ...CHANNELS_FIRST.inputs[0], shape }, SUM_GRAPH.inputs[1]],
      }
      const folder = await writeModelFolder({ network, manifest: { ...SUM_MANIFEST, ...more } })
      const message = await openLocalModel(folder, { threads: 1 }).then(String, String)
      expect(message).toContain(
        'inputs[0]: axis 1 of "pulses" is fixed at 6, but layout "padded" expects [events, pulses, features]. 6 is also your number of features: is the tensor [events, features, pulses]? If so, set the layout to "padded-transposed"',
      )
      expect(message).not.toContain('set paddedLength')
    },
  )

  it('and the other way round: a network that takes [events, pulses, features]', async () => {
    const folder = await writeModelFolder({ network: SUM_GRAPH, manifest: transposed })
    await expect(openLocalModel(folder, { threads: 1 })).rejects.toMatchObject({
      code: 'model_manifest_invalid',
      message: expect.stringMatching(/axis 2 of "pulses" is fixed at 6.*If so, set the layout to "padded"/),
    })
  })
})

describe('a network with an unused output', () => {
  const withOutput = (output: Value, op: string, attributes = {}): Graph => ({
    ...SUM_GRAPH,
    outputs: [...SUM_GRAPH.outputs, output],
    nodes: [...SUM_GRAPH.nodes, { op, inputs: ['sums'], outputs: ['extra'], attributes }],
  })
  const shape = ['events', 6]
  const strange = [
    {
      type: 'sequence',
      network: withOutput({ name: 'extra', dtype: 'float32', shape, isSequence: true }, 'SequenceConstruct'),
    },
    { type: 'string', network: withOutput({ name: 'extra', dtype: 'string', shape }, 'Cast', { to: 8 }) },
    {
      type: 'bfloat16',
      network: withOutput({ name: 'extra', dtype: 'bfloat16', shape }, 'Cast', { to: 16 }),
    },
  ]

  it.each(strange)('of type $type answers without it', async ({ network }) => {
    const model = await openModel(await writeModelFolder({ network, manifest: SUM_MANIFEST }), 1)
    expect(model.graph?.outputs.map(({ name }) => name)).toEqual(['direction'])
    const batch = eventsOfLengths([7])
    const { azimuth, zenith } = await model.infer(batch)
    const got = { azimuth: azimuth[0], zenith: zenith[0] }
    expect(angularDistance(got, sumDirection(batch, 0))).toBeLessThan(1e-5)
  })

  it.each(strange)('of type $type is named where the manifest reads it', async ({ network, type }) => {
    const manifest = { ...SUM_MANIFEST, output: { ...SUM_MANIFEST.output, tensor: 'extra' } }
    await expect(
      openLocalModel(await writeModelFolder({ network, manifest }), { threads: 1 }),
    ).rejects.toMatchObject({
      code: 'model_unreadable',
      message: expect.stringContaining(`the output "extra", which the manifest reads, is a ${type}`),
    })
  })

  it('finds its weights in a file beside it', async () => {
    const factor: Constant = { dtype: 'float32', shape: [1], data: [2], file: 'model.onnx.data' }
    const network: Graph = {
      ...strange[1].network,
      constants: { ...SUM_GRAPH.constants, factor },
      nodes: strange[1].network.nodes.flatMap((node) =>
        node.op === 'Slice'
          ? [
              { op: 'Mul', inputs: ['sums', 'factor'], outputs: ['scaled'] },
              { ...node, inputs: ['scaled', ...node.inputs.slice(1)] },
            ]
          : [node],
      ),
    }
    const folder = await writeModelFolder({ network, manifest: SUM_MANIFEST })
    await writeFile(join(folder, 'model.onnx.data'), constantBytes(factor))
    const model = await openModel(folder, 1)
    expect((await model.infer(eventsOfLengths([7]))).faults).toEqual([])
  })
})
