import { EventError } from '../../errors.ts'
import { type FreeSize, shapeOf } from '../model/input-shape.ts'
import type { ModelManifest } from '../model/manifest.ts'
import {
  arrayOf,
  elementCount,
  type GraphInfo,
  type NamedTensors,
  type Tensor,
  type TensorInfo,
} from './tensor.ts'

/**
 * That tensors from outside can go into a network: names, types, ranks, fixed dimensions, number of values, and the
 * manifest's limit on pulses, which keeps one request from taking all memory.
 * @throws EventError `model_failed` naming the tensor
 */
export function checkTensors(inputs: NamedTensors, graph: GraphInfo, manifest: ModelManifest): void {
  const known = graph.inputs.map(({ name }) => name)
  for (const name of Object.keys(inputs)) {
    if (!known.includes(name))
      throw refused(`the model has no input "${name}": its inputs are ${known.join(', ')}`)
  }
  for (const info of graph.inputs) {
    const tensor = inputs[info.name]
    if (tensor === undefined) throw refused(`input "${info.name}" is missing`)
    checkTensor(info, tensor)
  }
  checkSizes(inputs, manifest)
}

/** Tensors of one run agree on its events, its padded length and its pulses. */
function checkSizes(inputs: NamedTensors, manifest: ModelManifest): void {
  const most = manifest.limits.pulsesPerEvent
  const sizes = new Map<FreeSize | number, { size: number; name: string }>()
  for (const spec of manifest.inputs) {
    for (const [axis, letter] of shapeOf(spec).entries()) {
      const size = inputs[spec.name].shape[axis]
      const first = sizes.get(letter)
      if (first === undefined) sizes.set(letter, { size, name: spec.name })
      else if (typeof letter === 'string' && first.size !== size) {
        const meaning = `dimension ${axis} of input "${spec.name}"`
        throw refused(
          `${meaning} is ${size}, but input "${first.name}" has ${first.size}: both are ${MEANING[letter]}`,
        )
      }
      if (letter === 'L' && size > most) {
        throw refused(
          `input "${spec.name}" has ${size} pulses an event; at most ${most} (limits.pulsesPerEvent)`,
        )
      }
    }
  }
}

const MEANING = {
  E: 'events',
  L: 'pulses of an event',
  T: 'pulses in all',
  'E + 1': 'events and one',
} as const

function checkTensor(info: TensorInfo, { dtype, shape, data }: Tensor): void {
  const name = `input "${info.name}"`
  if (dtype !== info.dtype) throw refused(`${name} is ${dtype}: the model takes ${info.dtype}`)
  const fits =
    shape.length === info.shape.length && info.shape.every((size, i) => isFree(size) || size === shape[i])
  if (!fits) throw refused(`${name} has the shape [${shape}]: the model takes [${info.shape}]`)
  const count = elementCount(shape)
  if (data.length !== count)
    throw refused(`${name} has ${data.length} values: its shape [${shape}] needs ${count}`)
  if (!(data instanceof arrayOf(dtype))) throw refused(`${name} is not an array of ${dtype}`)
}

function isFree(size: number | string): boolean {
  return typeof size === 'string'
}

function refused(message: string): EventError {
  return new EventError('model_failed', message)
}
