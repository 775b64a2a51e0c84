import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { fromSourceVector } from '../../src/event/direction.ts'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { type LocalModel, openLocalModel } from '../../src/inference/network/local.ts'
import { encodeOnnx, type Graph } from './onnx-model.ts'
import { makeEvents } from './plain-events.ts'

export interface ModelFolder {
  /** A graph to encode, or the file's bytes; no file by default. */
  readonly network?: Graph | Uint8Array
  /** Written as JSON, or literally if it is text; no file by default. */
  readonly manifest?: unknown
  readonly parity?: unknown
}

/** A temporary model folder for the running test, removed after it. */
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

/** Six raw features with a mask in which true means padding: the direction is the sum of all positions. */
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

/** Opens a model, which is closed after the test. */
export async function openModel(folder: string, threads = 2): Promise<LocalModel> {
  const model = await openLocalModel(folder, { threads })
  onTestFinished(() => model[Symbol.asyncDispose]())
  return model
}

/** Events of many lengths, one after the other. */
export function eventsOfLengths(lengths: readonly number[]): EventBatch {
  const all = makeEvents(1, 1, { pulsesPerEvent: lengths.reduce((sum, length) => sum + length, 0) })
  const offsets = new Int32Array(lengths.length + 1)
  for (const [i, length] of lengths.entries()) offsets[i + 1] = offsets[i] + length
  return { ...all, eventIds: BigInt64Array.from(lengths, (_, i) => BigInt(i)), offsets }
}

/** The answer of SUM_GRAPH: the sum of the positions. */
export function sumDirection({ offsets, sensorIds }: EventBatch, event: number) {
  const sum = [0, 0, 0]
  for (let row = offsets[event]; row < offsets[event + 1]; row++) {
    for (const axis of sum.keys()) sum[axis] += sensorPositions[sensorIds[row] * 3 + axis]
  }
  return fromSourceVector(sum[0], sum[1], sum[2])
}
