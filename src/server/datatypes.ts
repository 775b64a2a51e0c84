import type { Dtype } from '../inference/tensor.ts'

/** Names of element types in the Open Inference Protocol. */
const DATATYPES = {
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

export function datatypeOf(dtype: Dtype): string {
  return DATATYPES[dtype]
}

/** Least and greatest value of an integer type; undefined for floating point and bool. */
export function integerRange(dtype: Dtype): readonly [bigint, bigint] | undefined {
  const match = /^(u?)int(\d+)$/.exec(dtype)
  if (match === null) return undefined
  const bits = BigInt(match[2])
  return match[1] === 'u' ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
}
