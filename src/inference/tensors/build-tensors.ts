import type { InputSpec, ModelManifest } from '../model/manifest.ts'
import { buildEventFeature, buildWriteFeatures, type Run } from './features.ts'
import { elementCount, type NamedTensors, type Tensor, type TensorData } from './tensor.ts'

/** Makes the input tensors of one run. They lie in buffers that the next call overwrites. */
export type BuildTensors = (run: Run) => NamedTensors

type BuildTensor = (run: Run, length: number) => Tensor

export function buildBuildTensors(manifest: ModelManifest): BuildTensors {
  const builders = manifest.inputs.map((spec) => [spec.name, builderOf(spec)] as const)
  return (run) => {
    const length = paddedLengthOf(run, manifest.paddedLength)
    const tensors: Record<string, Tensor> = {}
    for (const [name, build] of builders) tensors[name] = build(run, length)
    return tensors
  }
}

/** Padded length L of a run by the manifest's rule. */
export function paddedLengthOf({ starts }: Run, rule: ModelManifest['paddedLength']): number {
  if ('fixed' in rule) return rule.fixed
  let longest = rule.min
  for (let e = 1; e < starts.length; e++) longest = Math.max(longest, starts[e] - starts[e - 1])
  return Math.ceil(longest / rule.multipleOf) * rule.multipleOf
}

function builderOf(spec: InputSpec): BuildTensor {
  switch (spec.layout) {
    case 'padded':
    case 'padded-column':
      return padded(spec)
    case 'padded-transposed':
      return transposed(spec)
    case 'flat':
    case 'flat-column':
      return flat(spec)
    case 'event':
    case 'event-column':
      return ofEvents(spec)
    case 'mask':
      return mask(spec)
    case 'lengths':
      return counted(spec, ({ starts }, e) => starts[e + 1] - starts[e], 0)
    case 'offsets':
      return counted(spec, ({ starts }, e) => starts[e], 1)
    case 'event-index':
      return eventIndex(spec)
  }
}

type OfLayout<L extends InputSpec['layout']> = Extract<InputSpec, { layout: L }>

function padded(spec: OfLayout<'padded' | 'padded-column'>): BuildTensor {
  const write = buildWriteFeatures(spec.features, spec.dtype !== 'float32')
  const width = spec.features.length
  const store = storeAs(spec.dtype)
  return (run, length) => {
    const events = run.events.length
    const into = store.values(events * length * width)
    for (let e = 0; e < events; e++) {
      const at = e * length * width
      write(run, e, into, at)
      into.fill(spec.padding, at + (run.starts[e + 1] - run.starts[e]) * width, at + length * width)
    }
    return store.tensor(spec.layout === 'padded' ? [events, length, width] : [events, length])
  }
}

/** The features of a pulse lie `length` values apart: they are made side by side first. */
function transposed(spec: OfLayout<'padded-transposed'>): BuildTensor {
  const write = buildWriteFeatures(spec.features, spec.dtype !== 'float32')
  const width = spec.features.length
  const store = storeAs(spec.dtype)
  const sideBySide = storeAs(spec.dtype)
  return (run, length) => {
    const events = run.events.length
    const into = store.values(events * width * length)
    for (let e = 0; e < events; e++) {
      const pulses = run.starts[e + 1] - run.starts[e]
      const values = sideBySide.values(pulses * width)
      write(run, e, values, 0)
      for (let f = 0; f < width; f++) {
        const at = (e * width + f) * length
        for (let i = 0; i < pulses; i++) into[at + i] = values[i * width + f]
        into.fill(spec.padding, at + pulses, at + length)
      }
    }
    return store.tensor([events, width, length])
  }
}

function flat(spec: OfLayout<'flat' | 'flat-column'>): BuildTensor {
  const write = buildWriteFeatures(spec.features, spec.dtype !== 'float32')
  const width = spec.features.length
  const store = storeAs(spec.dtype)
  return (run) => {
    const pulses = run.rows.length
    const into = store.values(pulses * width)
    for (let e = 0; e < run.events.length; e++) write(run, e, into, run.starts[e] * width)
    return store.tensor(spec.layout === 'flat' ? [pulses, width] : [pulses])
  }
}

function ofEvents(spec: OfLayout<'event' | 'event-column'>): BuildTensor {
  const values = spec.features.map(buildEventFeature)
  const store = storeAs(spec.dtype)
  return (run) => {
    const events = run.events.length
    const into = store.values(events * values.length)
    for (let e = 0; e < events; e++) {
      for (const [f, value] of values.entries()) into[e * values.length + f] = value(run, e)
    }
    return store.tensor(spec.layout === 'event' ? [events, values.length] : [events])
  }
}

function mask(spec: OfLayout<'mask'>): BuildTensor {
  const store = storeAs(spec.dtype)
  const onPulse = spec.trueMeans === 'pulse' ? 1 : 0
  return ({ events, starts }, length) => {
    const into = store.values(events.length * length)
    for (let e = 0; e < events.length; e++) {
      const padding = e * length + starts[e + 1] - starts[e]
      into.fill(onPulse, e * length, padding)
      into.fill(1 - onPulse, padding, (e + 1) * length)
    }
    return store.tensor([events.length, length])
  }
}

function counted(
  spec: OfLayout<'lengths' | 'offsets'>,
  value: (run: Run, e: number) => number,
  extra: number,
): BuildTensor {
  const store = storeAs(spec.dtype)
  return (run) => {
    const size = run.events.length + extra
    const into = store.values(size)
    for (let e = 0; e < size; e++) into[e] = value(run, e)
    return store.tensor([size])
  }
}

function eventIndex(spec: OfLayout<'event-index'>): BuildTensor {
  const store = storeAs(spec.dtype)
  return ({ events, rows, starts }) => {
    const into = store.values(rows.length)
    for (let e = 0; e < events.length; e++) into.fill(e, starts[e], starts[e + 1])
    return store.tensor([rows.length])
  }
}

/** Buffers of one input tensor, kept and grown from run to run. */
export interface Store {
  /** Where to write `size` values, as floating point numbers; their content is what an earlier run left. */
  values(size: number): Float32Array | Float64Array
  /** The tensor of the values written last, converted to its own type. */
  tensor(shape: number[]): Tensor
}

/** Integers are rounded, booleans are values other than 0. */
export function storeAs(dtype: InputSpec['dtype']): Store {
  const isFloat = dtype === 'float32' || dtype === 'float64'
  let values = dtype === 'float32' ? new Float32Array(0) : new Float64Array(0)
  let converted = new ArrayBuffer(0)
  return {
    values(size) {
      if (values.length < size) {
        const capacity = Math.max(size, 2 * values.length)
        values = dtype === 'float32' ? new Float32Array(capacity) : new Float64Array(capacity)
        if (!isFloat) converted = new ArrayBuffer(capacity * 8)
      }
      return values.subarray(0, size)
    },
    tensor(shape) {
      const size = elementCount(shape)
      const written = values.subarray(0, size)
      return { dtype, shape, data: isFloat ? written : convert(written, dtype, converted) }
    },
  }
}

function convert(
  from: Float32Array | Float64Array,
  dtype: InputSpec['dtype'],
  into: ArrayBuffer,
): TensorData {
  if (dtype === 'float16') {
    const halves = new Float16Array(into, 0, from.length)
    halves.set(from)
    return halves
  }
  if (dtype === 'bool') {
    const bytes = new Uint8Array(into, 0, from.length)
    for (let i = 0; i < from.length; i++) bytes[i] = from[i] === 0 ? 0 : 1
    return bytes
  }
  if (dtype === 'int32') {
    const words = new Int32Array(into, 0, from.length)
    for (let i = 0; i < from.length; i++) words[i] = Math.round(from[i])
    return words
  }
  // Two 32-bit words per element: making a BigInt of each would cost more than everything else here.
  const words = new Int32Array(into, 0, from.length * 2)
  for (let i = 0; i < from.length; i++) {
    const value = Math.round(from[i])
    words[2 * i] = value
    words[2 * i + 1] = Math.floor(value / 2 ** 32)
  }
  return new BigInt64Array(into, 0, from.length)
}
