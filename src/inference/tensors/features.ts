import type { EventBatch } from '../../event/event-batch.ts'
import { SENSOR_COUNT } from '../../event/sensors.ts'
import type { FeatureSpec } from '../model/manifest.ts'
import { firstHlcTime, firstTime, rawEventColumn, sensorColumn } from './columns.ts'

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

export type Floats = Float32Array | Float64Array

/** Writes the values of event `e`: those of its first pulse begin at `into[at]`. */
export type WriteFeatures = (run: Run, e: number, into: Floats, at: number) => void

/** Value of a column of scope *event*, normalised. */
export type EventFeature = (run: Run, e: number) => number

/** A feature and its place among the values of a pulse. */
interface Placed {
  readonly spec: FeatureSpec
  readonly position: number
  /** Values of one pulse. */
  readonly width: number
}

/** Writes all features of a tensor, pulse after pulse. [pulses × features] */
export function buildWriteFeatures(specs: readonly FeatureSpec[], isDouble: boolean): WriteFeatures {
  const placed = specs.map((spec, position) => ({ spec, position, width: specs.length }))
  const bySensor = placed.filter(({ spec }) => sensorColumn(spec))
  const others = placed.filter(({ spec }) => !sensorColumn(spec))
  const first = bySensor.length ? [writeSensorColumns(bySensor, isDouble)] : []
  const writers = [...first, ...others.map(buildWriteFeature)]
  return (run, e, into, at) => {
    for (const write of writers) write(run, e, into, at)
  }
}

export function buildEventFeature(spec: FeatureSpec): EventFeature {
  const raw = rawEventColumn(spec.column)
  const normalise = buildNormalise(spec)
  return ({ batch, events }, e) => normalise(raw(batch, events[e]))
}

function buildWriteFeature(placed: Placed): WriteFeatures {
  const { spec } = placed
  const normalise = buildNormalise(spec)
  switch (spec.column) {
    case 'auxiliary':
      return writeByFlag(placed, normalise(0), normalise(1))
    case 'hlc':
      return writeByFlag(placed, normalise(1), normalise(0))
    case 'time':
      return writeTime(placed, () => 0)
    case 'timeSinceFirst':
      return writeTime(placed, firstTime)
    case 'timeSinceFirstHlc':
      return writeTime(placed, firstHlcTime)
    case 'charge':
      return writeCharge(placed)
    case 'pulseIndex':
      return writePulseIndex(placed)
    default:
      return writeConstant(placed, buildEventFeature(spec))
  }
}

/**
 * Writes all columns that depend on the sensor alone from one table, with the values of a sensor side by side. A run of the
 * network evicts the table from the cache, so this layout costs one cache miss per pulse instead of one per column.
 */
function writeSensorColumns(columns: readonly Placed[], isDouble: boolean): WriteFeatures {
  const [{ width }] = columns
  const table = interleave(columns, isDouble)
  return ({ batch, rows, starts }, e, into, at) => {
    const { sensorIds } = batch
    for (let column = 0; column < columns.length; column++) {
      let out = at + columns[column].position
      for (let i = starts[e], to = starts[e + 1]; i < to; i++, out += width) {
        into[out] = table[sensorIds[rows[i]] * columns.length + column]
      }
    }
  }
}

/** [SENSOR_COUNT × columns] */
function interleave(columns: readonly Placed[], isDouble: boolean): Floats {
  const size = SENSOR_COUNT * columns.length
  const table = isDouble ? new Float64Array(size) : new Float32Array(size)
  for (const [column, { spec }] of columns.entries()) {
    const values = sensorColumn(spec) ?? []
    const normalise = buildNormalise(spec)
    for (const [sensor, value] of values.entries()) table[sensor * columns.length + column] = normalise(value)
  }
  return table
}

function writeByFlag({ position, width }: Placed, whenHlc: number, whenAuxiliary: number): WriteFeatures {
  return ({ batch, rows, starts }, e, into, at) => {
    const { auxiliary } = batch
    for (let i = starts[e], to = starts[e + 1], out = at + position; i < to; i++, out += width) {
      into[out] = auxiliary[rows[i]] === 0 ? whenHlc : whenAuxiliary
    }
  }
}

function writeTime(
  { spec, position, width }: Placed,
  origin: (batch: EventBatch, event: number) => number,
): WriteFeatures {
  const normalise = buildNormalise(spec)
  return ({ batch, events, rows, starts }, e, into, at) => {
    const { times } = batch
    const zero = origin(batch, events[e])
    for (let i = starts[e], to = starts[e + 1], out = at + position; i < to; i++, out += width) {
      into[out] = normalise(times[rows[i]] - zero)
    }
  }
}

function writeCharge({ spec, position, width }: Placed): WriteFeatures {
  const normalise = rememberCharges(buildNormalise(spec))
  return ({ batch, rows, starts }, e, into, at) => {
    const { charges } = batch
    for (let i = starts[e], to = starts[e + 1], out = at + position; i < to; i++, out += width) {
      into[out] = normalise(charges[rows[i]])
    }
  }
}

function writePulseIndex({ spec, position, width }: Placed): WriteFeatures {
  const normalise = buildNormalise(spec)
  return ({ starts }, e, into, at) => {
    const count = starts[e + 1] - starts[e]
    for (let i = 0; i < count; i++) into[at + position + i * width] = normalise(i)
  }
}

function writeConstant({ position, width }: Placed, value: EventFeature): WriteFeatures {
  return (run, e, into, at) => {
    const constant = value(run, e)
    const count = run.starts[e + 1] - run.starts[e]
    for (let i = 0; i < count; i++) into[at + position + i * width] = constant
  }
}

/** Raw value of a column to the value in the tensor: transform, minus offset, divided by scale, clip. */
export type Normalise = (value: number) => number

export function buildNormalise({ transform, offset, scale, clip }: FeatureSpec): Normalise {
  const scaled = buildScaled(transform, offset, scale)
  if (clip === undefined) return scaled
  const [least, most] = clip
  return (value) => Math.min(Math.max(scaled(value), least), most)
}

function buildScaled(transform: FeatureSpec['transform'], offset: number, scale: number): Normalise {
  switch (transform) {
    case undefined:
      return (value) => (value - offset) / scale
    case 'log10':
      return (value) => (Math.log10(value) - offset) / scale
    case 'ln':
      return (value) => (Math.log(value) - offset) / scale
    case 'log1p':
      return (value) => (Math.log1p(value) - offset) / scale
    case 'asinh':
      return (value) => (Math.asinh(value) - offset) / scale
  }
}

/** A power of two: most charges lie below 51 p.e. */
const REMEMBERED = 1024
/** Charges are digitised in steps of 0.05 p.e. (SuperDST), so that few values make up nearly all of them. */
const STEPS_PER_PE = 20

/** The same function for charges in single precision, with a cache of earlier results. */
export function rememberCharges(normalise: Normalise): Normalise {
  const charges = new Float32Array(REMEMBERED).fill(Number.NaN)
  const answers = new Float64Array(REMEMBERED)
  return (charge) => {
    const slot = (charge * STEPS_PER_PE) & (REMEMBERED - 1)
    if (charges[slot] !== charge) {
      charges[slot] = charge
      answers[slot] = normalise(charge)
    }
    return answers[slot]
  }
}
