import {
  arrayOf,
  datatypeOf,
  elementCount,
  type GraphInfo,
  type NamedTensors,
  type Tensor,
  type TensorInfo,
} from '../inference/tensors/tensor.ts'
import { checkShape, DimensionSizes } from './check-shape.ts'
import { isRecord, show } from './json-values.ts'
import { RequestError } from './request-error.ts'
import { readJsonTensor } from './tensor-json.ts'

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

/**
 * Reads an inference request of the Open Inference Protocol, with the binary tensor extension: `headerLength` bytes of
 * JSON (all of the body where undefined), then the bytes of binary inputs in their order. Everything is checked against
 * the model's inputs and outputs.
 * @throws RequestError
 */
export function readInferRequest(
  body: Buffer,
  headerLength: string | undefined,
  graph: GraphInfo,
): InferRequest {
  const jsonBytes = headerLength === undefined ? body.length : toLength(headerLength, body.length)
  const request = parseJson(body.toString('utf8', 0, jsonBytes))
  const { id, inputs, outputs, parameters } = request
  if (id !== undefined && typeof id !== 'string') throw malformed(`id is ${show(id)}; it must be a string`)
  const isBinary = isRecord(parameters) && parameters['binary_data_output'] === true
  return {
    id,
    inputs: readInputs(inputs, body.subarray(jsonBytes), graph.inputs),
    outputs: readOutputs(outputs, isBinary, graph.outputs),
  }
}

function toLength(header: string, most: number): number {
  const length = Number(header)
  if (Number.isInteger(length) && length >= 0 && length <= most) return length
  throw malformed(`Inference-Header-Content-Length is ${show(header)}; the body has ${most} bytes`)
}

function parseJson(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw malformed(`the request is not JSON: ${reason}`, error)
  }
  if (isRecord(value)) return value
  throw malformed(`the request must be a JSON object, not ${show(value)}`)
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
  if (size === undefined) return { tensor: readJsonTensor(name, dtype, shape, input['data']), bytesTaken: 0 }
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
  if (given === undefined || (Array.isArray(given) && given.length === 0)) {
    return known.map(({ name }) => ({ name, isBinary }))
  }
  if (!Array.isArray(given)) throw malformed(`outputs is ${show(given)}; it must be a list`)
  return given.map((output: unknown) => {
    const name = isRecord(output) ? output['name'] : undefined
    const info = known.find((each) => each.name === name)
    if (!isRecord(output) || info === undefined) {
      const names = known.map((each) => `'${each.name}'`).join(', ')
      throw refuse(`unknown output ${show(name)}; the model has ${names}`)
    }
    const parameters = isRecord(output['parameters']) ? output['parameters'] : {}
    if (parameters['classification']) {
      throw refuse(`output '${info.name}' asks for classification, which directions do not have`)
    }
    const own = parameters['binary_data']
    return { name: info.name, isBinary: typeof own === 'boolean' ? own : isBinary }
  })
}

function malformed(message: string, cause?: unknown): RequestError {
  return new RequestError('body_malformed', message, { cause })
}

function refuse(message: string): RequestError {
  return new RequestError('tensor_invalid', message)
}
