import { EventError } from '../../errors.ts'
import {
  arrayOf,
  datatypeOf,
  dtypeOf,
  elementCount,
  type NamedTensors,
  type Tensor,
  type TensorData,
} from '../tensors/tensor.ts'

/** A request or answer of the Open Inference Protocol, version 2, over HTTP. */
export interface TensorBody {
  readonly body: Uint8Array
  /** Bytes of JSON before the bytes of tensors; undefined where all is JSON. */
  readonly headerLength: number | undefined
}

/**
 * A request for the outputs of these inputs; with `isBinary` by the binary tensor data extension, otherwise all JSON.
 * The tensors are copied.
 * @throws EventError `model_failed` for NaN and infinity in JSON, which has neither
 */
export function encodeInferRequest(
  inputs: NamedTensors,
  outputs: readonly string[],
  isBinary: boolean,
): TensorBody {
  const named = Object.entries(inputs)
  const bytes = isBinary ? named.map(([, { data }]) => bytesOf(data)) : []
  const texts = named.map(([name, { dtype, shape, data }], i) => {
    const head = `"name":${JSON.stringify(name)},"datatype":"${datatypeOf(dtype)}","shape":[${shape.join(',')}]`
    const binary = `"parameters":{"binary_data_size":${bytes[i]?.length}}`
    return `{${head},${isBinary ? binary : `"data":[${jsonData(name, { dtype, shape, data })}]`}}`
  })
  const wanted = outputs.map((name) =>
    JSON.stringify({ name, ...(isBinary && { parameters: { binary_data: true } }) }),
  )
  const json = Buffer.from(`{"inputs":[${texts.join(',')}],"outputs":[${wanted.join(',')}]}`)
  if (!isBinary) return { body: json, headerLength: undefined }
  return { body: Buffer.concat([json, ...bytes]), headerLength: json.length }
}

/** What a server answered to a request for tensors. */
export interface InferAnswer {
  readonly outputs: NamedTensors
  /** Undefined where the server has no versions. */
  readonly modelVersion: string | undefined
}

interface JsonOutput {
  readonly name?: unknown
  readonly datatype?: unknown
  readonly shape?: unknown
  readonly data?: unknown
  readonly parameters?: { readonly binary_data_size?: unknown } | null
}

/** @throws Error where the answer is not what the protocol says */
export function decodeInferAnswer({ body, headerLength = body.length }: TensorBody): InferAnswer {
  if (!(headerLength > 0 && headerLength <= body.length))
    throw new Error(`its JSON is said to have ${headerLength} of ${body.length} bytes`)
  const json: unknown = JSON.parse(Buffer.from(body.subarray(0, headerLength)).toString())
  if (typeof json !== 'object' || json === null) throw new Error('its JSON is no object')
  const { outputs, model_version: version } = json as { outputs?: unknown; model_version?: unknown }
  if (!Array.isArray(outputs)) throw new Error('it has no list "outputs"')
  const tensors: Record<string, Tensor> = {}
  let at = headerLength
  for (const output of outputs as (JsonOutput | null)[]) {
    const { name, parameters } = output ?? {}
    if (output === null || typeof name !== 'string') throw new Error('an output has no name')
    const size = parameters?.binary_data_size
    if (size === undefined) {
      tensors[name] = fromJson(name, output)
      continue
    }
    tensors[name] = fromBytes(name, output, body.slice(at, at + Number(size)))
    at += Number(size)
  }
  const modelVersion = typeof version === 'string' && version !== '' ? version : undefined
  return { outputs: tensors, modelVersion }
}

function fromBytes(name: string, output: JsonOutput, bytes: Uint8Array<ArrayBuffer>): Tensor {
  const { dtype, shape, count } = typeOf(name, output)
  const Data = arrayOf(dtype)
  if (bytes.length !== count * Data.BYTES_PER_ELEMENT)
    throw new Error(`its output "${name}" of shape [${shape}] has ${bytes.length} bytes`)
  return { dtype, shape, data: new Data(bytes.buffer, 0, count) }
}

function fromJson(name: string, output: JsonOutput): Tensor {
  const { dtype, shape, count } = typeOf(name, output)
  const values: unknown[] = Array.isArray(output.data) ? output.data.flat(Number.POSITIVE_INFINITY) : []
  if (values.length !== count)
    throw new Error(`its output "${name}" of shape [${shape}] has ${values.length} values`)
  const data = new (arrayOf(dtype))(count)
  // null stands for NaN, which JSON does not have.
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (const [i, value] of values.entries()) data[i] = BigInt(Number(value))
  else for (const [i, value] of values.entries()) data[i] = value === null ? Number.NaN : Number(value)
  return { dtype, shape, data }
}

function typeOf(name: string, { datatype, shape }: JsonOutput) {
  const dtype = dtypeOf(datatype)
  if (dtype === undefined) throw new Error(`its output "${name}" has the datatype ${String(datatype)}`)
  const isShape = Array.isArray(shape) && shape.every((size) => Number.isInteger(size) && Number(size) >= 0)
  if (!isShape) throw new Error(`its output "${name}" has no shape`)
  const sizes = (shape as unknown[]).map(Number)
  return { dtype, shape: sizes, count: elementCount(sizes) }
}

function jsonData(name: string, { dtype, data }: Tensor): string {
  if (dtype === 'bool') return data.join(',').replaceAll('0', 'false').replaceAll('1', 'true')
  const wrong = data.find((value) => typeof value === 'number' && !Number.isFinite(value))
  if (wrong === undefined) return data.join(',')
  throw new EventError('model_failed', `the input "${name}" holds ${wrong}, which JSON cannot say`)
}

function bytesOf({ buffer, byteOffset, byteLength }: TensorData): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
