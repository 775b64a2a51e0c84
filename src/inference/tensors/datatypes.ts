import type { Dtype } from './tensor.ts'

/** Names of element types in the Open Inference Protocol. */
const DATATYPES = {
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  int64: 'INT64',
  int32: 'INT32',
  int16: 'INT16',
  int8: 'INT8',
  uint64: 'UINT64',
  uint32: 'UINT32',
  uint16: 'UINT16',
  uint8: 'UINT8',
  bool: 'BOOL',
} as const satisfies Record<Dtype, string>

const DTYPES: ReadonlyMap<unknown, Dtype> = new Map(
  (Object.keys(DATATYPES) as Dtype[]).map((dtype) => [DATATYPES[dtype], dtype]),
)

export function datatypeOf(dtype: Dtype): string {
  return DATATYPES[dtype]
}

/** Undefined for a name of the protocol that no network of ours has, such as BYTES. */
export function dtypeOf(datatype: unknown): Dtype | undefined {
  return DTYPES.get(datatype)
}
