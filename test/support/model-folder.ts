import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { encodeOnnx, type Graph } from './onnx-model.ts'

export interface ModelFolder {
  /** A graph to encode, or the file's bytes; no file where left out. */
  readonly network?: Graph | Uint8Array
  /** Written as JSON, or as it is where it is text; no file where left out. */
  readonly manifest?: unknown
  readonly parity?: unknown
}

/** A model folder of its own for the running test, removed after it. */
export async function writeModelFolder({ network, manifest, parity }: ModelFolder): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nustream-model-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  if (network) {
    await writeFile(join(folder, 'model.onnx'), network instanceof Uint8Array ? network : encodeOnnx(network))
  }
  if (manifest !== undefined) await writeFile(join(folder, 'model.json'), toText(manifest))
  if (parity !== undefined) await writeFile(join(folder, 'parity.json'), toText(parity))
  return folder
}

function toText(content: unknown): string {
  return typeof content === 'string' ? content : JSON.stringify(content)
}

const feature = (column: string, unit: string) => ({ column, unit })

/** Six raw features with a mask where true means padding: the sum of all places is the direction. */
export const SUM_MANIFEST = {
  formatVersion: 1,
  name: 'sum',
  version: '1',
  description: 'The sum of the places of all pulses',
  licence: 'Apache-2.0',
  origin: 'made by hand in test/support',
  training: { dataDigest: null },
  pulses: { max: null, prefer: 'none', by: 'time', order: 'time' },
  inputs: [
    {
      name: 'pulses',
      layout: 'padded',
      dtype: 'float32',
      features: [
        feature('x', 'm'),
        feature('y', 'm'),
        feature('z', 'm'),
        feature('time', 'ns'),
        feature('charge', 'p.e.'),
        feature('auxiliary', '1'),
      ],
    },
    { name: 'padding', layout: 'mask', dtype: 'bool', trueMeans: 'padding' },
  ],
  output: { meaning: 'vector', tensor: 'direction', axes: ['x', 'y', 'z'], points: 'source' },
  parity: null,
}

/** The network of SUM_MANIFEST. A direction is the sum over pulses that are not padding of the first three features. */
export const SUM_GRAPH: Graph = {
  inputs: [
    { name: 'pulses', dtype: 'float32', shape: ['events', 'pulses', 6] },
    { name: 'padding', dtype: 'bool', shape: ['events', 'pulses'] },
  ],
  outputs: [{ name: 'direction', dtype: 'float32', shape: ['events', 3] }],
  constants: {
    last: { dtype: 'int64', shape: [1], data: [-1] },
    one: { dtype: 'int64', shape: [1], data: [1] },
    zero: { dtype: 'int64', shape: [1], data: [0] },
    three: { dtype: 'int64', shape: [1], data: [3] },
  },
  nodes: [
    { op: 'Not', inputs: ['padding'], outputs: ['isPulse'] },
    { op: 'Cast', inputs: ['isPulse'], outputs: ['weight'], attributes: { to: 1 } },
    { op: 'Unsqueeze', inputs: ['weight', 'last'], outputs: ['weights'] },
    { op: 'Mul', inputs: ['pulses', 'weights'], outputs: ['weighted'] },
    { op: 'ReduceSum', inputs: ['weighted', 'one'], outputs: ['sums'], attributes: { keepdims: 0 } },
    { op: 'Slice', inputs: ['sums', 'zero', 'three', 'one'], outputs: ['direction'] },
  ],
}
