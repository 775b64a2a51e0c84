import { fromSourceVector, toSourceVector } from '../../event/direction.ts'
import { type Directions, setFault } from '../directions.ts'
import type { OutputSpec } from '../model/manifest.ts'
import type { NamedTensors, Tensor } from './tensor.ts'

/** Stores a network's outputs for the events of a run. `events[e]` is the index at which the direction of event `e` is stored. */
export type ReadOutput = (outputs: NamedTensors, events: Int32Array, answers: Directions) => void

interface SourceVector {
  x: number
  y: number
  z: number
}

/** @throws Error from the returned function where an output is missing or holds another number of values */
export function buildReadOutput(spec: OutputSpec): ReadOutput {
  const readVector = spec.meaning === 'azimuth-zenith' ? angleReader(spec) : vectorReader(spec)
  const sign = spec.points === 'source' ? 1 : -1
  return (outputs, events, answers) => {
    const vector = readVector(outputs, events.length)
    const kappaOf = kappaReader(spec, outputs, events.length)
    const isDegenerate = flagReader(spec, outputs, events.length)
    for (let e = 0; e < events.length; e++) {
      const { x, y, z } = vector(e)
      const length = Math.hypot(x, y, z)
      const kappa = spec.meaning === 'vector-kappa' ? length : kappaOf(e)
      // An ensemble ignores a member's zero vector; a single network must answer a direction.
      const isTooShort = answers.vectors === undefined && length === 0
      if (isTooShort || !(length < Number.POSITIVE_INFINITY)) {
        setFault(
          answers,
          events[e],
          'model_output_invalid',
          `the model answered the vector (${x}, ${y}, ${z})`,
        )
        continue
      }
      if (kappaOf !== noKappa && !(kappa >= 0 && kappa < Number.POSITIVE_INFINITY)) {
        setFault(answers, events[e], 'model_output_invalid', `the model answered the concentration ${kappa}`)
        continue
      }
      answers.vectors?.set([sign * x, sign * y, sign * z], 3 * events[e])
      const direction = fromSourceVector(sign * x, sign * y, sign * z)
      answers.azimuth[events[e]] = direction.azimuth
      answers.zenith[events[e]] = direction.zenith
      answers.kappa[events[e]] = kappa
      answers.degenerate[events[e]] = isDegenerate(e) ? 1 : 0
    }
  }
}

/** Names of the outputs that a manifest reads. */
export function outputNames(spec: OutputSpec): string[] {
  const names = spec.meaning === 'azimuth-zenith' ? [...spec.tensors] : [spec.tensor]
  if (spec.meaning !== 'vector-kappa' && spec.kappa) names.push(spec.kappa.tensor)
  if (spec.degenerate) names.push(spec.degenerate.tensor)
  return [...new Set(names)]
}

function vectorReader(spec: Extract<OutputSpec, { tensor: string }>) {
  const [x, y, z] = (['x', 'y', 'z'] as const).map((axis) => spec.axes.indexOf(axis))
  return (outputs: NamedTensors, events: number) => {
    const { data } = valuesOf(outputs, spec.tensor, events * 3)
    return (e: number): SourceVector => ({
      x: Number(data[e * 3 + x]),
      y: Number(data[e * 3 + y]),
      z: Number(data[e * 3 + z]),
    })
  }
}

function angleReader(spec: Extract<OutputSpec, { meaning: 'azimuth-zenith' }>) {
  const isAzimuthFirst = spec.order[0] === 'azimuth'
  return (outputs: NamedTensors, events: number) => {
    const width = spec.tensors.length === 1 ? 2 : 1
    const tensors = spec.tensors.map((name) => valuesOf(outputs, name, events * width).data)
    return (e: number): SourceVector => {
      const pair = width === 2 ? [tensors[0][e * 2], tensors[0][e * 2 + 1]] : [tensors[0][e], tensors[1][e]]
      const [azimuth, zenith] = isAzimuthFirst ? pair : pair.toReversed()
      const [x, y, z] = toSourceVector(Number(azimuth), Number(zenith))
      return { x, y, z }
    }
  }
}

function noKappa(): number {
  return Number.NaN
}

function kappaReader(spec: OutputSpec, outputs: NamedTensors, events: number): (e: number) => number {
  if (spec.meaning === 'vector-kappa' || spec.kappa === undefined) return noKappa
  const { data } = valuesOf(outputs, spec.kappa.tensor, events)
  const isLogarithm = spec.kappa.transform === 'exp'
  return (e) => (isLogarithm ? Math.exp(Number(data[e])) : Number(data[e]))
}

function flagReader(spec: OutputSpec, outputs: NamedTensors, events: number): (e: number) => boolean {
  if (spec.degenerate === undefined) return () => false
  const { data } = valuesOf(outputs, spec.degenerate.tensor, events)
  return (e) => Number(data[e]) !== 0
}

function valuesOf(outputs: NamedTensors, name: string, count: number): Tensor {
  const tensor = outputs[name]
  if (tensor === undefined) throw new Error(`the model gave no output "${name}"`)
  if (tensor.data.length === count) return tensor
  throw new Error(`the output "${name}" has the shape [${tensor.shape}], expected ${count} values`)
}
