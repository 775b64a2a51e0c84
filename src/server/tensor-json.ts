import {
  arrayOf,
  type Dtype,
  elementCount,
  type Tensor,
  type TensorData,
} from '../inference/tensors/tensor.ts'
import { integerRange } from './datatypes.ts'
import { show } from './json-values.ts'
import { RequestError } from './request-error.ts'

/**
 * A tensor from JSON data, nested as its shape or flat, row-major.
 * @throws RequestError naming the input and the value at fault
 */
export function readJsonTensor(name: string, dtype: Dtype, shape: readonly number[], data: unknown): Tensor {
  if (!Array.isArray(data))
    throw refuse(name, 'has no data; give a list, or binary_data_size with bytes after the JSON')
  const flat = Array.isArray(data[0]) ? flatten(name, data, shape.length) : data
  const count = elementCount(shape)
  if (flat.length !== count) {
    throw refuse(name, `has ${flat.length} values; its shape [${shape.join(', ')}] holds ${count}`)
  }
  return { dtype, shape, data: readValues(name, dtype, flat) }
}

function flatten(name: string, data: readonly unknown[], depth: number): readonly unknown[] {
  // One level less than the rank: what is nested deeper stays a list and is refused as a value.
  const flat = data.flat(Math.max(0, depth - 1))
  const at = flat.findIndex((value) => Array.isArray(value))
  if (at >= 0) throw refuse(name, `is nested deeper than its ${depth} dimensions`)
  return flat
}

function readValues(name: string, dtype: Dtype, values: readonly unknown[]): TensorData {
  const array = new (arrayOf(dtype))(values.length)
  const write = dtype === 'bool' ? writeBool : dtype.startsWith('float') ? writeFloat : integerWriter(dtype)
  for (let i = 0; i < values.length; i++) {
    if (write(array, i, values[i])) continue
    throw refuse(name, `data[${i}] is ${show(values[i])}, which is no ${dtype}`)
  }
  return array
}

type Write = (array: TensorData, index: number, value: unknown) => boolean

const writeFloat: Write = (array, index, value) => {
  if (typeof value !== 'number') return false
  array[index] = value
  return true
}

const writeBool: Write = (array, index, value) => {
  if (value !== true && value !== false && value !== 0 && value !== 1) return false
  array[index] = Number(value)
  return true
}

function integerWriter(dtype: Dtype): Write {
  const [least, greatest] = integerRange(dtype) ?? [0n, 0n]
  const isBig = dtype === 'int64' || dtype === 'uint64'
  const [from, to] = [Number(least), Number(greatest)]
  return (array, index, value) => {
    // Above 2^53 a JSON number has lost digits on its way.
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < from || value > to) return false
    array[index] = isBig ? BigInt(value) : value
    return true
  }
}

/** Data of a tensor as a flat JSON list. JSON has no NaN and no infinity: both become null. */
export function writeJsonData({ dtype, data }: Tensor): string {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return `[${data.join(',')}]`
  // Not of bigints, as seen above; the union of the other arrays is too wide for the overloads of Array.from.
  const values = Array.from(data as ArrayLike<number>)
  return dtype === 'bool' ? `[${values.map((value) => value !== 0)}]` : JSON.stringify(values)
}

function refuse(name: string, problem: string): RequestError {
  return new RequestError('tensor_invalid', `input '${name}' ${problem}`)
}
