import type { EventBatch } from '../event/event-batch.ts'
import type { FeatureSpec } from './manifest.ts'
import { normalise } from './normalise.ts'
import { sensorColumn } from './sensor-columns.ts'

/** Events that go through a network together, with the pulses that it sees of each. */
export interface Run {
  readonly batch: EventBatch
  /** Index in the batch of each event of the run. [E] */
  readonly events: Int32Array
  /** Rows of the chosen pulses, event after event. [T] */
  readonly rows: Int32Array
  /** Pulses of event `e` are `rows[starts[e]]` to `rows[starts[e + 1]]` (exclusive). [E + 1] */
  readonly starts: Int32Array
}

/** Where the values of one event go: `into[at]`, `into[at + stride]`, … */
export interface Place {
  readonly into: Float32Array | Float64Array
  at: number
  readonly stride: number
}

/** Writes one feature of event `e` of a run, one value per pulse. */
export type WriteFeature = (run: Run, e: number, place: Place) => void

/** Value of a column of scope *event*, normalised. */
export type EventFeature = (run: Run, e: number) => number

export function buildWriteFeature(spec: FeatureSpec): WriteFeature {
  const bySensor = sensorColumn(spec)
  if (bySensor) return writeSensorColumn(bySensor.map((value) => normalise(value, spec)))
  switch (spec.column) {
    case 'auxiliary':
      return writeByFlag(normalise(0, spec), normalise(1, spec))
    case 'hlc':
      return writeByFlag(normalise(1, spec), normalise(0, spec))
    case 'time':
      return writeTime(spec, () => 0)
    case 'timeSinceFirst':
      return writeTime(spec, firstTime)
    case 'timeSinceFirstHlc':
      return writeTime(spec, firstHlcTime)
    case 'charge':
      return writeCharge(spec)
    case 'pulseIndex':
      return writePulseIndex(spec)
    default:
      return writeConstant(buildEventFeature(spec))
  }
}

export function buildEventFeature(spec: FeatureSpec): EventFeature {
  const raw = rawEventColumn(spec.column)
  return ({ batch, events }, e) => normalise(raw(batch, events[e]), spec)
}

function writeSensorColumn(table: Float64Array): WriteFeature {
  return ({ batch, rows, starts }, e, { into, at, stride }) => {
    const { sensorIds } = batch
    for (let i = starts[e], to = starts[e + 1], out = at; i < to; i++, out += stride) {
      into[out] = table[sensorIds[rows[i]]]
    }
  }
}

function writeByFlag(whenHlc: number, whenAuxiliary: number): WriteFeature {
  return ({ batch, rows, starts }, e, { into, at, stride }) => {
    const { auxiliary } = batch
    for (let i = starts[e], to = starts[e + 1], out = at; i < to; i++, out += stride) {
      into[out] = auxiliary[rows[i]] === 0 ? whenHlc : whenAuxiliary
    }
  }
}

function writeTime(spec: FeatureSpec, origin: (batch: EventBatch, event: number) => number): WriteFeature {
  const isAffine = spec.transform === undefined && spec.clip === undefined
  return ({ batch, events, rows, starts }, e, { into, at, stride }) => {
    const { times } = batch
    const zero = origin(batch, events[e])
    for (let i = starts[e], to = starts[e + 1], out = at; i < to; i++, out += stride) {
      const time = times[rows[i]] - zero
      into[out] = isAffine ? (time - spec.offset) / spec.scale : normalise(time, spec)
    }
  }
}

function writeCharge(spec: FeatureSpec): WriteFeature {
  const isPlainLog = spec.transform === 'log10' && spec.clip === undefined
  return ({ batch, rows, starts }, e, { into, at, stride }) => {
    const { charges } = batch
    for (let i = starts[e], to = starts[e + 1], out = at; i < to; i++, out += stride) {
      const charge = charges[rows[i]]
      into[out] = isPlainLog ? (Math.log10(charge) - spec.offset) / spec.scale : normalise(charge, spec)
    }
  }
}

function writePulseIndex(spec: FeatureSpec): WriteFeature {
  return ({ starts }, e, { into, at, stride }) => {
    const count = starts[e + 1] - starts[e]
    for (let i = 0; i < count; i++) into[at + i * stride] = normalise(i, spec)
  }
}

function writeConstant(value: EventFeature): WriteFeature {
  return (run, e, { into, at, stride }) => {
    const constant = value(run, e)
    const count = run.starts[e + 1] - run.starts[e]
    for (let i = 0; i < count; i++) into[at + i * stride] = constant
  }
}

function rawEventColumn(column: FeatureSpec['column']): (batch: EventBatch, event: number) => number {
  switch (column) {
    case 'pulseCount':
      return ({ offsets }, event) => offsets[event + 1] - offsets[event]
    case 'hlcCount':
      return hlcCount
    case 'totalCharge':
      return totalCharge
    default:
      throw new Error(`column ${column} is not a value of the whole event`)
  }
}

function hlcCount({ offsets, auxiliary }: EventBatch, event: number): number {
  let count = 0
  for (let row = offsets[event]; row < offsets[event + 1]; row++) if (auxiliary[row] === 0) count++
  return count
}

function totalCharge({ offsets, charges }: EventBatch, event: number): number {
  let sum = 0
  for (let row = offsets[event]; row < offsets[event + 1]; row++) sum += charges[row]
  return sum
}

function firstTime({ offsets, times }: EventBatch, event: number): number {
  let first = Number.POSITIVE_INFINITY
  for (let row = offsets[event]; row < offsets[event + 1]; row++) first = Math.min(first, times[row])
  return first
}

function firstHlcTime(batch: EventBatch, event: number): number {
  const { offsets, times, auxiliary } = batch
  let first = Number.POSITIVE_INFINITY
  for (let row = offsets[event]; row < offsets[event + 1]; row++) {
    if (auxiliary[row] === 0) first = Math.min(first, times[row])
  }
  return Number.isFinite(first) ? first : firstTime(batch, event)
}
