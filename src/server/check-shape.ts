import type { TensorInfo } from '../inference/tensors/tensor.ts'
import { show } from './json-values.ts'
import { RequestError } from './request-error.ts'

/** More elements than any body within the limits can carry. */
const ELEMENTS_MAX = 2 ** 31

/** Sizes of the model's named dimensions in one request: a name has one size in all inputs. */
export class DimensionSizes {
  readonly #sizes = new Map<string, { readonly size: number; readonly input: string }>()

  check(dimension: string, size: number, input: string): void {
    if (dimension === '') return
    const known = this.#sizes.get(dimension)
    if (known === undefined) this.#sizes.set(dimension, { size, input })
    else if (known.size !== size) {
      throw refuse(input, `has ${size} along '${dimension}'; input '${known.input}' has ${known.size}`)
    }
  }
}

/** @throws RequestError when a shape is none, or not one that the model takes */
export function checkShape(given: unknown, { name, shape }: TensorInfo, sizes: DimensionSizes): number[] {
  const wanted = `[${shape.map((size) => (typeof size === 'number' ? size : size || '?')).join(', ')}]`
  if (!Array.isArray(given)) throw refuse(name, `has shape ${show(given)}; the model takes ${wanted}`)
  if (given.length !== shape.length) {
    throw refuse(name, `has ${given.length} dimensions; the model takes ${wanted}`)
  }
  let elements = 1
  return given.map((size: unknown, axis) => {
    const fixed = shape[axis]
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) {
      throw refuse(name, `has shape[${axis}] ${show(size)}; it must be an integer from 0`)
    }
    if (typeof fixed === 'number' && fixed >= 0 && fixed !== size) {
      throw refuse(name, `has shape[${axis}] ${size}; the model takes ${wanted}`)
    }
    if (typeof fixed === 'string') sizes.check(fixed, size, name)
    elements *= size
    if (elements > ELEMENTS_MAX) throw refuse(name, `has a shape of more than ${ELEMENTS_MAX} elements`)
    return size
  })
}

function refuse(name: string, problem: string): RequestError {
  return new RequestError('tensor_invalid', `input '${name}' ${problem}`)
}
