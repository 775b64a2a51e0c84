import type { Dtype } from '../inference/tensors/tensor.ts'

/** Least and greatest value of an integer type; undefined for floating point and bool. */
export function integerRange(dtype: Dtype): readonly [bigint, bigint] | undefined {
  const match = /^(u?)int(\d+)$/.exec(dtype)
  if (match === null) return undefined
  const bits = BigInt(match[2])
  return match[1] === 'u' ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
}
