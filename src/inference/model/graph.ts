import { EventError, UsageError } from '../../errors.ts'
import { outputNames } from '../tensors/read-output.ts'
import {
  arrayOf,
  elementCount,
  type GraphInfo,
  type NamedTensors,
  type Tensor,
  type TensorInfo,
} from '../tensors/tensor.ts'
import type { InputSpec, ModelManifest } from './manifest.ts'

/** Free dimensions of input tensors: events of a run, padded length, pulses of a run. */
export type FreeSize = 'E' | 'L' | 'T' | 'E + 1'

/** Dimensions of a layout: a letter where they depend on the run, a number where the manifest fixes them. */
export function shapeOf(spec: InputSpec): (FreeSize | number)[] {
  switch (spec.layout) {
    case 'padded':
      return ['E', 'L', spec.features.length]
    case 'padded-transposed':
      return ['E', spec.features.length, 'L']
    case 'padded-column':
    case 'mask':
      return ['E', 'L']
    case 'flat':
      return ['T', spec.features.length]
    case 'flat-column':
    case 'event-index':
      return ['T']
    case 'event':
      return ['E', spec.features.length]
    case 'event-column':
    case 'lengths':
      return ['E']
    case 'offsets':
      return ['E + 1']
  }
}

/**
 * Checks that a manifest fits its network: names, element types, ranks and fixed dimensions.
 * @throws UsageError `model_manifest_invalid` naming each field that does not fit
 */
export function checkGraph(manifest: ModelManifest, graph: GraphInfo, path: string): void {
  const complaints = [...inputComplaints(manifest, graph), ...outputComplaints(manifest, graph)]
  if (complaints.length === 0) return
  const lines = complaints.map((complaint) => `  ${complaint}`).join('\n')
  throw new UsageError('model_manifest_invalid', `${path} does not fit model.onnx beside it:\n${lines}`)
}

function inputComplaints(manifest: ModelManifest, graph: GraphInfo): string[] {
  const complaints: string[] = []
  const names = graph.inputs.map(({ name }) => name)
  for (const [index, spec] of manifest.inputs.entries()) {
    const info = graph.inputs.find(({ name }) => name === spec.name)
    if (info) complaints.push(...fitComplaints(`inputs[${index}]`, { spec, info, manifest }))
    else complaints.push(`inputs[${index}].name is "${spec.name}": the network's inputs are ${quoted(names)}`)
  }
  const given = new Set(manifest.inputs.map(({ name }) => name))
  for (const name of names) {
    if (!given.has(name)) complaints.push(`inputs has no entry for the network's input "${name}": add one`)
  }
  return complaints
}

interface Fit {
  readonly spec: InputSpec
  readonly info: TensorInfo
  readonly manifest: ModelManifest
}

function fitComplaints(field: string, { spec, info, manifest }: Fit): string[] {
  const complaints: string[] = []
  if (spec.dtype !== info.dtype) {
    complaints.push(
      `${field}.dtype is "${spec.dtype}": the network's input "${spec.name}" takes ${info.dtype}`,
    )
  }
  const shape = shapeOf(spec)
  if (info.shape.length !== shape.length) {
    const found = `layout "${spec.layout}" makes ${shape.length} dimensions [${shape}]`
    complaints.push(`${field}: ${found}, the network's input "${spec.name}" has [${info.shape}]`)
    return complaints
  }
  const transposed = transpositionComplaint(field, spec, info)
  if (transposed !== undefined) return [...complaints, transposed]
  for (const [axis, width] of shape.entries()) {
    const fixedWidth = info.shape[axis]
    if (typeof width !== 'number' || typeof fixedWidth !== 'number' || width === fixedWidth) continue
    complaints.push(
      `${field}.features has ${width} entries: the network's input "${spec.name}" takes ${fixedWidth}`,
    )
  }
  const fixed = 'fixed' in manifest.paddedLength ? manifest.paddedLength.fixed : undefined
  for (const [axis, size] of info.shape.entries()) {
    if (typeof size !== 'number') continue
    if (shape[axis] === 'E' && !(size === 1 && manifest.limits.eventsPerRun === 1)) {
      const remedy = size === 1 ? 'set limits.eventsPerRun to 1' : 'export it with a dynamic first dimension'
      complaints.push(`${field}: the batch size of "${spec.name}" is fixed at ${size}: ${remedy}`)
    }
    if (shape[axis] === 'L' && size !== fixed) {
      complaints.push(
        `${field}: the number of pulses of "${spec.name}" is fixed at ${size}: set paddedLength to {"fixed": ${size}}`,
      )
    }
    if (shape[axis] === 'T')
      complaints.push(
        `${field}: axis ${axis} of "${spec.name}" is fixed at ${size}: export it as a dynamic axis`,
      )
  }
  return complaints
}

/**
 * A tensor whose axes of pulses and features are most likely the other way round: the axis of the pulses is fixed at
 * exactly the number of features, and the axis of the features is not.
 */
function transpositionComplaint(field: string, spec: InputSpec, info: TensorInfo): string | undefined {
  if (spec.layout !== 'padded' && spec.layout !== 'padded-transposed') return undefined
  const width = spec.features.length
  const isPadded = spec.layout === 'padded'
  const [pulseAxis, featureAxis] = isPadded ? [1, 2] : [2, 1]
  if (info.shape[pulseAxis] !== width || info.shape[featureAxis] === width) return undefined
  const [axes, swapped] = isPadded
    ? ['[events, pulses, features]', '[events, features, pulses]']
    : ['[events, features, pulses]', '[events, pulses, features]']
  const expects = `axis ${pulseAxis} of "${spec.name}" is fixed at ${width}, but layout "${spec.layout}" expects ${axes}`
  const remedy = `set the layout to "${isPadded ? 'padded-transposed' : 'padded'}"`
  return `${field}: ${expects}. ${width} is also your number of features: is the tensor ${swapped}? If so, ${remedy}`
}

function outputComplaints({ output }: ModelManifest, graph: GraphInfo): string[] {
  const complaints: string[] = []
  const names = graph.outputs.map(({ name }) => name)
  for (const wanted of outputNames(output)) {
    const info = graph.outputs.find(({ name }) => name === wanted)
    if (info === undefined) {
      complaints.push(`output reads "${wanted}": the network's outputs are ${quoted(names)}`)
      continue
    }
    const isFlag = wanted === output.degenerate?.tensor
    if (!isFlag && !info.dtype.startsWith('float')) {
      complaints.push(`output "${wanted}" is ${info.dtype}: directions must be float16, float32 or float64`)
    }
    const width = widthOf(output, wanted)
    const last = info.shape.at(-1)
    if (width > 1 && info.shape.length !== 2) {
      complaints.push(`output "${wanted}" has the shape [${info.shape}]: expected [events, ${width}]`)
    } else if (width > 1 && typeof last === 'number' && last !== width) {
      complaints.push(`output "${wanted}" has ${last} values an event: ${output.meaning} needs ${width}`)
    }
  }
  return complaints
}

function widthOf(output: ModelManifest['output'], name: string): number {
  if (output.meaning === 'azimuth-zenith') {
    return output.tensors.length === 1 && output.tensors[0] === name ? 2 : 1
  }
  return output.tensor === name ? 3 : 1
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ')
}

/**
 * Checks tensors of a request against a network: names, types, ranks, fixed dimensions, number of values, and the
 * manifest's limit on pulses, which bounds the memory of one request.
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

/** Checks that the tensors of a run agree on the number of events, the padded length and the number of pulses. */
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
