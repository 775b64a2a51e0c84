import { arrayOf, type NamedTensors, type Tensor } from '../inference/tensors/tensor.ts'

/** Rows along the first axis of a tensor. */
export function rowsOf({ shape }: Tensor): number {
  return shape[0]
}

/** Whether two tensors have the same name for everything but the number of rows. */
export function sharesRows(a: Tensor, b: Tensor): boolean {
  return (
    a.dtype === b.dtype &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, axis) => axis === 0 || size === b.shape[axis])
  )
}

/** Tensors of the same inputs, joined along the first axis in order. */
export function joinRows(parts: readonly NamedTensors[]): NamedTensors {
  const [first] = parts
  if (parts.length === 1) return first
  const joined = Object.keys(first).map((name) => [name, join(parts.map((part) => part[name]))])
  return Object.fromEntries(joined)
}

function join(parts: readonly Tensor[]): Tensor {
  const { dtype, shape } = parts[0]
  const length = parts.reduce((sum, { data }) => sum + data.length, 0)
  const data = new (arrayOf(dtype))(length)
  let at = 0
  for (const part of parts) {
    // Both are arrays of the same dtype, which the type of `set` cannot say.
    data.set(part.data as never, at)
    at += part.data.length
  }
  return { dtype, shape: [parts.reduce((sum, part) => sum + rowsOf(part), 0), ...shape.slice(1)], data }
}

/** Rows `from` to `to` (exclusive) of each tensor, as views. */
export function sliceRows(tensors: NamedTensors, from: number, to: number): NamedTensors {
  const sliced = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const perRow = shape[0] === 0 ? 0 : data.length / shape[0]
    return [
      name,
      { dtype, shape: [to - from, ...shape.slice(1)], data: data.subarray(from * perRow, to * perRow) },
    ]
  })
  return Object.fromEntries(sliced)
}
