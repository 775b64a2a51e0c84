import { UnavailableError } from '../../errors.ts'
import { shapeOf } from '../model/graph.ts'
import type { ModelManifest } from '../model/manifest.ts'
import { arrayOf, type GraphInfo, type NamedTensors, type Tensor } from '../tensors/tensor.ts'
import type { PlannedJob, TensorCall, TensorsRequest } from './request.ts'

/** Events that the tensors hold; undefined where no input tells. */
export function eventsOf(inputs: NamedTensors, manifest: ModelManifest): number | undefined {
  for (const spec of manifest.inputs) {
    const [first] = shapeOf(spec)
    if (first === 'E') return inputs[spec.name].shape[0]
    if (first === 'E + 1') return inputs[spec.name].shape[0] - 1
  }
  return undefined
}

/**
 * Rows of the tensors, and how many of them share a run; undefined where the first axis does not count events in every
 * input, or is not free in every input and output.
 */
export function rowsOf(inputs: NamedTensors, manifest: ModelManifest, graph: GraphInfo): TensorCall['rows'] {
  const shapes = manifest.inputs.map((spec) => ({ name: spec.name, shape: shapeOf(spec) }))
  const padded = shapes.find(({ shape }) => shape.includes('L'))
  const isPerEvent = shapes.every(({ shape }) => shape[0] === 'E')
  const isFree = [...graph.inputs, ...graph.outputs].every(({ shape }) => typeof shape[0] === 'string')
  if (padded === undefined || !isPerEvent || !isFree) return undefined
  const { shape } = inputs[padded.name]
  const length = Math.max(1, shape[padded.shape.indexOf('L')])
  const { tokensPerRun, eventsPerRun } = manifest.limits
  return { count: shape[0], perRun: Math.max(1, Math.min(eventsPerRun, Math.floor(tokensPerRun / length))) }
}

/** Whether two calls can run as one: the same outputs, and inputs that differ in the number of rows only. */
export function canJoin(a: TensorCall, b: TensorCall): boolean {
  if (a.rows === undefined || b.rows === undefined || a.outputs?.join() !== b.outputs?.join()) return false
  return Object.entries(a.inputs).every(([name, tensor]) => sharesRows(tensor, b.inputs[name]))
}

function sharesRows(a: Tensor, b: Tensor): boolean {
  return (
    a.dtype === b.dtype &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, axis) => axis === 0 || size === b.shape[axis])
  )
}

/** Jobs for the tensors of all requests, joined along the first axis and split by how many rows share a run. */
export function planTensorJobs(requests: readonly TensorsRequest[]): PlannedJob[] {
  const [{ call }] = requests
  const { rows = { count: 1, perRun: 1 }, outputs } = call
  const count = requests.reduce((sum, request) => sum + (request.call.rows?.count ?? 1), 0)
  const parts = Math.max(1, Math.ceil(count / rows.perRun))
  const group = createGroup(requests, parts)
  return Array.from({ length: parts }, (_, part) => {
    const [from, to] = [part * rows.perRun, Math.min(count, (part + 1) * rows.perRun)]
    return {
      size: to - from,
      isWanted: () => group.isWanted(),
      build: () => ({
        kind: 'tensors',
        inputs: parts === 1 ? group.inputs() : copyRows(group.inputs(), from, to),
        outputs,
      }),
      deliver(answer) {
        if (answer.kind === 'tensors') group.add(part, answer.outputs)
      },
      fail: (error) => group.fail(error),
    }
  })
}

function createGroup(requests: readonly TensorsRequest[], parts: number) {
  const outputs = new Array<NamedTensors | undefined>(parts)
  let joined: NamedTensors | undefined
  let left = parts
  let hasFailed = false
  const fail = (error: unknown): readonly PlannedJob[] => {
    if (hasFailed) return []
    hasFailed = true
    // The values of one request may be the reason, so each runs alone, and only that one fails.
    if (requests.length > 1 && !(error instanceof UnavailableError))
      return requests.flatMap((request) => (request.isSettled ? [] : planTensorJobs([request])))
    for (const request of requests) request.reject(error)
    return []
  }
  return {
    fail,
    isWanted: () => !hasFailed && requests.some(({ isSettled }) => !isSettled),
    /** Joined when the first job is built. */
    inputs(): NamedTensors {
      joined ??= joinRows(requests.map(({ call }) => call.inputs))
      return joined
    },
    add(part: number, answer: NamedTensors): void {
      outputs[part] = answer
      if (--left > 0 || hasFailed) return
      deliver(requests, joinRows(outputs.filter((each) => each !== undefined)))
    },
  }
}

function deliver(requests: readonly TensorsRequest[], outputs: NamedTensors): void {
  if (requests.length === 1) {
    requests[0].resolve(outputs)
    return
  }
  let from = 0
  for (const { call, resolve } of requests) {
    const to = from + (call.rows?.count ?? 1)
    resolve(viewRows(outputs, from, to))
    from = to
  }
}

/** Tensors of the same names, joined along the first axis in order. */
function joinRows(parts: readonly NamedTensors[]): NamedTensors {
  const [first] = parts
  if (parts.length === 1) return first
  return Object.fromEntries(Object.keys(first).map((name) => [name, join(parts.map((part) => part[name]))]))
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
  return { dtype, shape: [parts.reduce((sum, part) => sum + part.shape[0], 0), ...shape.slice(1)], data }
}

/** Rows `from` to `to` (exclusive) of each tensor, as views. */
function viewRows(tensors: NamedTensors, from: number, to: number): NamedTensors {
  return mapRows(tensors, from, to, (data, start, end) => data.subarray(start, end))
}

/** The same as copies: a message to a worker carries the whole memory behind a view. */
function copyRows(tensors: NamedTensors, from: number, to: number): NamedTensors {
  return mapRows(tensors, from, to, (data, start, end) => data.slice(start, end))
}

function mapRows(
  tensors: NamedTensors,
  from: number,
  to: number,
  take: (data: Tensor['data'], start: number, end: number) => Tensor['data'],
): NamedTensors {
  const taken = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const perRow = shape[0] === 0 ? 0 : data.length / shape[0]
    return [
      name,
      { dtype, shape: [to - from, ...shape.slice(1)], data: take(data, from * perRow, to * perRow) },
    ]
  })
  return Object.fromEntries(taken)
}
