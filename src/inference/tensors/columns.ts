import type { EventBatch } from '../../event/event-batch.ts'
import {
  absorptionLength,
  absorptionLengthAtDepth,
  scatteringLength,
  scatteringLengthAtDepth,
} from '../../event/ice.ts'
import { domOf, relativeEfficiency, SENSOR_COUNT, sensorPositions, stringOf } from '../../event/sensors.ts'
import type { FeatureSpec } from '../model/manifest.ts'

/** What one value of a column belongs to: a pulse of its own, or the event as a whole (repeated on each pulse). */
export type ColumnScope = 'pulse' | 'event'

interface ColumnFacts {
  /** Unit of the raw value, before any normalisation. '1' where it has none. */
  readonly unit: 'm' | 'ns' | 'p.e.' | '1'
  readonly scope: ColumnScope
  /** Raw values are above 0 for every event that the event form admits. */
  readonly positive: boolean
  /** Raw values can be below 0. */
  readonly signed: boolean
  /** A table with more than one published reading, so the manifest must say which. */
  readonly hasLookup: boolean
}

function column(
  unit: ColumnFacts['unit'],
  scope: ColumnScope,
  options: Partial<ColumnFacts> = {},
): ColumnFacts {
  return { unit, scope, positive: false, signed: false, hasLookup: false, ...options }
}

/** The closed menu of feature columns that a manifest can ask for. Meanings are in docs/models.md. */
export const COLUMNS = {
  x: column('m', 'pulse', { signed: true }),
  y: column('m', 'pulse', { signed: true }),
  z: column('m', 'pulse', { signed: true }),
  time: column('ns', 'pulse', { signed: true }),
  timeSinceFirst: column('ns', 'pulse'),
  timeSinceFirstHlc: column('ns', 'pulse', { signed: true }),
  charge: column('p.e.', 'pulse', { positive: true }),
  auxiliary: column('1', 'pulse'),
  hlc: column('1', 'pulse'),
  quantumEfficiency: column('1', 'pulse', { hasLookup: true }),
  scatteringLength: column('m', 'pulse', { positive: true, hasLookup: true }),
  absorptionLength: column('m', 'pulse', { positive: true, hasLookup: true }),
  sensorId: column('1', 'pulse'),
  stringIndex: column('1', 'pulse'),
  domIndex: column('1', 'pulse'),
  pulseIndex: column('1', 'pulse'),
  pulseCount: column('1', 'event', { positive: true }),
  hlcCount: column('1', 'event'),
  totalCharge: column('p.e.', 'event', { positive: true }),
} as const satisfies Record<string, ColumnFacts>

export type ColumnName = keyof typeof COLUMNS

// Object.keys() types its result as string[]; the keys of this literal are exactly ColumnName.
export const COLUMN_NAMES = Object.keys(COLUMNS) as [ColumnName, ...ColumnName[]]

/** Raw value of a column of scope *event*. */
export function rawEventColumn(column: ColumnName): (batch: EventBatch, event: number) => number {
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

/** Time of the earliest pulse, ns. */
export function firstTime({ offsets, times }: EventBatch, event: number): number {
  let first = Number.POSITIVE_INFINITY
  for (let row = offsets[event]; row < offsets[event + 1]; row++) first = Math.min(first, times[row])
  return first
}

/** Time of the earliest non-auxiliary pulse, ns; of the earliest of all where there is none. */
export function firstHlcTime(batch: EventBatch, event: number): number {
  const { offsets, times, auxiliary } = batch
  let first = Number.POSITIVE_INFINITY
  for (let row = offsets[event]; row < offsets[event + 1]; row++) {
    if (auxiliary[row] === 0) first = Math.min(first, times[row])
  }
  return Number.isFinite(first) ? first : firstTime(batch, event)
}

/** Depth that IceMix took for the detector's centre, m. Its table was looked up mirrored: depth 1950 + z. */
const ICEMIX_CENTRE_DEPTH_M = 1950

const VALUE_OF_SENSOR = {
  x: (sensor: number) => sensorPositions[sensor * 3],
  y: (sensor: number) => sensorPositions[sensor * 3 + 1],
  z: heightOf,
  sensorId: (sensor: number) => sensor,
  stringIndex: stringOf,
  domIndex: domOf,
} as const

const VALUE_BY_LOOKUP = {
  quantumEfficiency: { physical: relativeEfficiency, icemix: icemixEfficiency },
  scatteringLength: {
    physical: (sensor: number) => scatteringLength(heightOf(sensor)),
    icemix: (sensor: number) => scatteringLengthAtDepth(ICEMIX_CENTRE_DEPTH_M + heightOf(sensor)),
  },
  absorptionLength: {
    physical: (sensor: number) => absorptionLength(heightOf(sensor)),
    icemix: (sensor: number) => absorptionLengthAtDepth(ICEMIX_CENTRE_DEPTH_M + heightOf(sensor)),
  },
} as const

/** Raw values of a column that depends on the sensor alone, per sensor; undefined for other columns. [SENSOR_COUNT] */
export function sensorColumn({ column, lookup }: FeatureSpec): Float64Array | undefined {
  const value = valueOfSensor(column, lookup ?? 'physical')
  return value && Float64Array.from({ length: SENSOR_COUNT }, (_, sensor) => value(sensor))
}

function valueOfSensor(
  column: FeatureSpec['column'],
  lookup: 'physical' | 'icemix',
): ((sensor: number) => number) | undefined {
  switch (column) {
    case 'quantumEfficiency':
    case 'scatteringLength':
    case 'absorptionLength':
      return VALUE_BY_LOOKUP[column][lookup]
    case 'x':
    case 'y':
    case 'z':
    case 'sensorId':
    case 'stringIndex':
    case 'domIndex':
      return VALUE_OF_SENSOR[column]
    default:
      return undefined
  }
}

function heightOf(sensor: number): number {
  return sensorPositions[sensor * 3 + 2]
}

/**
 * As IceMix was trained: 1 for DeepCore strings (index 78 on) from DOM index 11 on (physically it begins at 10), and,
 * because label slices include their end, also for DOM index 0 of string indices 79 to 85.
 */
function icemixEfficiency(sensor: number): number {
  const string = stringOf(sensor)
  const dom = domOf(sensor)
  return (string >= 78 && dom >= 11) || (string >= 79 && dom === 0) ? 1 : 0
}
