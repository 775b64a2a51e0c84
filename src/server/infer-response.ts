import type { ModelIdentity } from '../inference/inferrer.ts'
import type { NamedTensors, Tensor } from '../inference/tensors/tensor.ts'
import { datatypeOf } from '../inference/tensors/tensor.ts'
import type { InferRequest } from './infer-request.ts'

export interface InferResponse {
  readonly body: Buffer | string
  /** Bytes of JSON before the bytes of binary outputs; undefined where there are none. */
  readonly headerLength: number | undefined
}

/** The outputs asked for and no others, in the order asked. */
export function writeInferResponse(
  { id, outputs }: InferRequest,
  tensors: NamedTensors,
  model: ModelIdentity,
): InferResponse {
  const binary: Uint8Array[] = []
  const texts = outputs.map(({ name, isBinary }) => {
    const tensor = tensors[name]
    if (!isBinary) return writeOutput(name, tensor, `"data":${writeJsonData(tensor)}`)
    const { buffer, byteOffset, byteLength } = tensor.data
    binary.push(new Uint8Array(buffer, byteOffset, byteLength))
    return writeOutput(name, tensor, `"parameters":{"binary_data_size":${byteLength}}`)
  })
  const head = JSON.stringify({
    model_name: model.name,
    model_version: model.version,
    ...(id !== undefined && { id }),
  })
  const json = `${head.slice(0, -1)},"outputs":[${texts.join(',')}]}`
  if (binary.length === 0) return { body: json, headerLength: undefined }
  const header = Buffer.from(json)
  return { body: Buffer.concat([header, ...binary]), headerLength: header.length }
}

function writeOutput(name: string, { dtype, shape }: Tensor, data: string): string {
  return `{"name":${JSON.stringify(name)},"datatype":"${datatypeOf(dtype)}","shape":[${shape.join(',')}],${data}}`
}

/** Data of a tensor as a flat JSON list. JSON has no NaN and no infinity: both become null. */
function writeJsonData({ dtype, data }: Tensor): string {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return `[${data.join(',')}]`
  // Not of bigints, as seen above; the union of the other arrays is too wide for the overloads of Array.from.
  const values = Array.from(data as ArrayLike<number>)
  return dtype === 'bool' ? `[${values.map((value) => value !== 0)}]` : JSON.stringify(values)
}
