import {
  arrayOf,
  type Dtype,
  datatypeOf,
  elementCount,
  type GraphInfo,
  type NamedTensors,
  type Tensor,
  type TensorData,
  type TensorInfo,
} from '../inference/tensors/tensor.ts'
import { RequestError } from './errors.ts'
import { isRecord, parseJson, show } from './json.ts'

/** An output asked for, and whether its data is to come as bytes. */
export interface WantedOutput {
  readonly name: string
  readonly isBinary: boolean
}

export interface InferRequest {
  readonly id: string | undefined
  readonly inputs: NamedTensors
  /** As asked, in the order asked. */
  readonly outputs: readonly WantedOutput[]
}

export interface InferRequestRules {
  /** Header `Inference-Header-Content-Length`: bytes of JSON before the bytes of tensors; all of the body where undefined. */
  readonly headerLength: string | undefined
  readonly jsonBytesMax: number
  /** What the request is checked against. */
  readonly graph: GraphInfo
}

/**
 * Reads an inference request of the Open Inference Protocol, with the binary tensor extension: JSON, then the bytes of
 * binary inputs in their order.
 * @throws RequestError
 */
export function readInferRequest(
  body: Buffer,
  { headerLength, jsonBytesMax, graph }: InferRequestRules,
): InferRequest {
  const jsonBytes = headerLength === undefined ? body.length : toLength(headerLength, body.length)
  if (jsonBytes > jsonBytesMax) {
    const message = `the JSON of a request may have ${jsonBytesMax} bytes, this one has ${jsonBytes}; send tensors as bytes`
    throw new RequestError('body_too_large', message)
  }
  const request = parseJson(body.subarray(0, jsonBytes), 'the request')
  if (!isRecord(request)) throw malformed(`the request must be a JSON object, not ${show(request)}`)
  const { id, inputs, outputs, parameters } = request
  if (isGiven(id) && typeof id !== 'string') throw malformed(`id is ${show(id)}; it must be a string`)
  const isBinary = isRecord(parameters) && parameters['binary_data_output'] === true
  return {
    id: isGiven(id) ? id : undefined,
    inputs: readInputs(inputs, body.subarray(jsonBytes), graph.inputs),
    outputs: readOutputs(outputs, isBinary, graph.outputs),
  }
}

function toLength(header: string, most: number): number {
  const length = Number(header)
  if (/^\d{1,15}$/.test(header) && length <= most) return length
  throw malformed(`Inference-Header-Content-Length is ${show(header)}; the body has ${most} bytes`)
}

/** Clients write an optional field that they leave out as null. */
function isGiven<T>(value: T): value is T & {} {
  return value !== undefined && value !== null
}

function readInputs(given: unknown, bytes: Buffer, known: readonly TensorInfo[]): NamedTensors {
  if (!Array.isArray(given)) throw malformed(`inputs is ${show(given)}; it must be a list of tensors`)
  const tensors: Record<string, Tensor> = {}
  const sizes = new DimensionSizes()
  const names = known.map(({ name }) => `'${name}'`).join(', ')
  let at = 0
  for (const input of given) {
    const name = isRecord(input) ? input['name'] : undefined
    const info = known.find((each) => each.name === name)
    if (!isRecord(input) || info === undefined) {
      throw refuse(`unknown input ${show(name)}; the model has ${names}`)
    }
    if (Object.hasOwn(tensors, info.name)) throw refuse(`input '${info.name}' is given twice`)
    const { tensor, bytesTaken } = readInput(input, info, bytes.subarray(at), sizes)
    tensors[info.name] = tensor
    at += bytesTaken
  }
  const missing = known.find(({ name }) => !Object.hasOwn(tensors, name))
  if (missing) throw refuse(`input '${missing.name}' is missing; the model has ${names}`)
  if (at !== bytes.length) {
    throw malformed(`${bytes.length} bytes follow the JSON, of which the inputs' binary_data_size take ${at}`)
  }
  return tensors
}

function readInput(
  input: Record<string, unknown>,
  info: TensorInfo,
  rest: Buffer,
  sizes: DimensionSizes,
): { tensor: Tensor; bytesTaken: number } {
  const { name, dtype } = info
  const wanted = datatypeOf(dtype)
  if (input['datatype'] !== wanted) {
    throw refuse(`input '${name}' has datatype ${show(input['datatype'])}; the model takes ${wanted}`)
  }
  const shape = checkShape(input['shape'], info, sizes)
  const { parameters } = input
  const size = isRecord(parameters) ? parameters['binary_data_size'] : undefined
  if (!isGiven(size)) return { tensor: readJsonTensor(name, dtype, shape, input['data']), bytesTaken: 0 }
  const elements = arrayOf(dtype)
  const needed = elementCount(shape) * elements.BYTES_PER_ELEMENT
  if (size !== needed) {
    throw refuse(
      `input '${name}' has binary_data_size ${show(size)}; ${wanted} of shape [${shape.join(', ')}] takes ${needed} bytes`,
    )
  }
  if (needed > rest.length) {
    throw malformed(`input '${name}' needs ${needed} bytes after the JSON; ${rest.length} are left`)
  }
  // A copy: it is aligned, and the body can go. The protocol is little-endian, as are all machines that Node runs on.
  const own = Uint8Array.prototype.slice.call(rest, 0, needed)
  if (dtype === 'bool') for (const [i, value] of own.entries()) if (value > 1) own[i] = 1
  return { tensor: { dtype, shape, data: new elements(own.buffer) }, bytesTaken: needed }
}

function readOutputs(given: unknown, isBinary: boolean, known: readonly TensorInfo[]): WantedOutput[] {
  if (!isGiven(given) || (Array.isArray(given) && given.length === 0)) {
    return known.map(({ name }) => ({ name, isBinary }))
  }
  if (!Array.isArray(given)) throw malformed(`outputs is ${show(given)}; it must be a list`)
  const names = new Set<string>()
  return given.map((output: unknown) => {
    const name = isRecord(output) ? output['name'] : undefined
    const info = known.find((each) => each.name === name)
    if (!isRecord(output) || info === undefined) {
      const all = known.map((each) => `'${each.name}'`).join(', ')
      throw refuse(`unknown output ${show(name)}; the model has ${all}`)
    }
    if (names.has(info.name)) throw refuse(`output '${info.name}' is asked for twice`)
    names.add(info.name)
    const parameters = isRecord(output['parameters']) ? output['parameters'] : {}
    if (parameters['classification']) {
      throw refuse(`output '${info.name}' asks for classification, which directions do not have`)
    }
    const own = parameters['binary_data']
    return { name: info.name, isBinary: typeof own === 'boolean' ? own : isBinary }
  })
}

/** More elements than any body within the limits can carry. */
const ELEMENTS_MAX = 2 ** 31

/** Sizes of the model's named dimensions in one request: a name has one size in all inputs. */
class DimensionSizes {
  readonly #sizes = new Map<string, { readonly size: number; readonly input: string }>()

  check(dimension: string, size: number, input: string): void {
    if (dimension === '') return
    const known = this.#sizes.get(dimension)
    if (known === undefined) this.#sizes.set(dimension, { size, input })
    else if (known.size !== size) {
      throw refuseInput(input, `has ${size} along '${dimension}'; input '${known.input}' has ${known.size}`)
    }
  }
}

/** @throws RequestError when a value is not a shape, or not one that the model takes */
function checkShape(given: unknown, { name, shape }: TensorInfo, sizes: DimensionSizes): number[] {
  const wanted = `[${shape.map((size) => (typeof size === 'number' ? size : size || '?')).join(', ')}]`
  if (!Array.isArray(given)) throw refuseInput(name, `has shape ${show(given)}; the model takes ${wanted}`)
  if (given.length !== shape.length) {
    throw refuseInput(name, `has ${given.length} dimensions; the model takes ${wanted}`)
  }
  let elements = 1
  return given.map((size: unknown, axis) => {
    const fixed = shape[axis]
    // Only the first axis may be empty: it counts events or pulses. Another empty axis would let a request without any data
    // claim any number of them.
    const least = axis === 0 ? 0 : 1
    if (typeof size !== 'number' || !Number.isInteger(size) || size < least) {
      throw refuseInput(name, `has shape[${axis}] ${show(size)}; it must be an integer from ${least}`)
    }
    if (typeof fixed === 'number' && fixed >= 0 && fixed !== size) {
      throw refuseInput(name, `has shape[${axis}] ${size}; the model takes ${wanted}`)
    }
    if (typeof fixed === 'string') sizes.check(fixed, size, name)
    elements *= size
    if (elements > ELEMENTS_MAX) throw refuseInput(name, `has a shape of more than ${ELEMENTS_MAX} elements`)
    return size
  })
}

/**
 * A tensor from JSON data, nested as its shape or flat, row-major.
 * @throws RequestError naming the input and the value at fault
 */
function readJsonTensor(name: string, dtype: Dtype, shape: readonly number[], data: unknown): Tensor {
  if (!Array.isArray(data))
    throw refuseInput(name, 'has no data; give a list, or binary_data_size with bytes after the JSON')
  const flat = Array.isArray(data[0]) ? flatten(name, data, shape.length) : data
  const count = elementCount(shape)
  if (flat.length !== count) {
    throw refuseInput(name, `has ${flat.length} values; its shape [${shape.join(', ')}] holds ${count}`)
  }
  return { dtype, shape, data: readValues(name, dtype, flat) }
}

function flatten(name: string, data: readonly unknown[], depth: number): readonly unknown[] {
  // One level less than the rank: what is nested deeper stays a list and is refused as a value.
  const flat = data.flat(Math.max(0, depth - 1))
  const at = flat.findIndex((value) => Array.isArray(value))
  if (at >= 0) throw refuseInput(name, `is nested deeper than its ${depth} dimensions`)
  return flat
}

function readValues(name: string, dtype: Dtype, values: readonly unknown[]): TensorData {
  const array = new (arrayOf(dtype))(values.length)
  const write = dtype === 'bool' ? writeBool : dtype.startsWith('float') ? writeFloat : integerWriter(dtype)
  for (let i = 0; i < values.length; i++) {
    if (write(array, i, values[i])) continue
    throw refuseInput(name, `data[${i}] is ${show(values[i])}, which is no ${dtype}`)
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

/** Least and greatest value of an integer type; undefined for floating point and bool. */
function integerRange(dtype: Dtype): readonly [bigint, bigint] | undefined {
  const match = /^(u?)int(\d+)$/.exec(dtype)
  if (match === null) return undefined
  const bits = BigInt(match[2])
  return match[1] === 'u' ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
}

function malformed(message: string, cause?: unknown): RequestError {
  return new RequestError('body_malformed', message, { cause })
}

function refuse(message: string): RequestError {
  return new RequestError('tensor_invalid', message)
}

function refuseInput(name: string, problem: string): RequestError {
  return refuse(`input '${name}' ${problem}`)
}
