import type { InputSpec } from '../model/manifest.ts'
import { elementCount, type Tensor, type TensorData } from './tensor.ts'

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
