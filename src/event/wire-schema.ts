import { EventError } from '../errors.ts'
import {
  type ColumnPlace,
  float64,
  int64,
  isValid,
  mismatch,
  readValues,
  wantColumn,
} from './arrow-columns.ts'
import type { ArrowRecordBatch } from './arrow-read.ts'
import { UTC_UNKNOWN } from './event-batch.ts'
import { isKnownDetector } from './sensors.ts'

/** Key of the schema's metadata that says what a stream holds and in which version: `events/1`, `predictions/1`. */
const SCHEMA_KEY = 'nustream.schema'

/** Raised when a column that must be there is added, or a column changes its type or its meaning. */
const WIRE_VERSION = 1

export type WireKind = 'events' | 'predictions'

/** Metadata of a stream of ours. */
export function wireMetadata(kind: WireKind): Map<string, string> {
  return new Map([[SCHEMA_KEY, `${kind}/${WIRE_VERSION}`]])
}

/** @throws EventError `wire_version_unknown`, or `wire_schema_mismatch` where the stream holds something else */
export function checkWireVersion(metadata: ReadonlyMap<string, string>, kind: WireKind): void {
  const found = metadata.get(SCHEMA_KEY)
  const wanted = `${kind}/${WIRE_VERSION}`
  if (found === undefined) {
    throw new EventError(
      'wire_version_unknown',
      `the schema's metadata has no ${SCHEMA_KEY}; wanted ${wanted}`,
    )
  }
  if (found === wanted) return
  const [foundKind] = found.split('/')
  if (foundKind !== kind) {
    throw new EventError(
      'wire_schema_mismatch',
      `the stream holds ${JSON.stringify(found)}; wanted ${wanted}`,
    )
  }
  throw new EventError(
    'wire_version_unknown',
    `the stream is ${JSON.stringify(found)}; this build reads ${wanted}`,
  )
}

/** Key of the schema's metadata that may name the detector of the events. */
const DETECTOR_KEY = 'nustream.detector'

/** @throws EventError `detector_unknown` where the stream names a detector other than IceCube-86 */
export function checkDetector(metadata: ReadonlyMap<string, string>): void {
  const name = metadata.get(DETECTOR_KEY)
  if (name === undefined || isKnownDetector(name)) return
  const message = `the events are of the detector ${JSON.stringify(name)}; this build reconstructs those of IceCube-86`
  throw new EventError('detector_unknown', message)
}

/** The two columns of a direction. */
export interface DirectionPlaces {
  readonly azimuth: ColumnPlace
  readonly zenith: ColumnPlace
}

/**
 * Where a stream has the columns of a direction that may be absent; undefined where neither is there.
 * @param what names the direction in the message
 * @throws EventError `wire_schema_mismatch` where one of them is missing or has another type
 */
export function placesOfDirection(
  places: ReadonlyMap<string, ColumnPlace>,
  [azimuth, zenith]: readonly [azimuth: string, zenith: string],
  what: string,
): DirectionPlaces | undefined {
  if (!places.has(azimuth) && !places.has(zenith)) return undefined
  const missing = [azimuth, zenith].find((name) => !places.has(name))
  if (missing !== undefined) throw mismatch(`column ${missing} is missing; ${what} is both or neither`)
  return {
    azimuth: wantColumn(places, azimuth, [float64.name]),
    zenith: wantColumn(places, zenith, [float64.name]),
  }
}

/** The directions of a record batch, NaN where they are null; undefined where the columns are not there. */
export function readDirections(
  recordBatch: ArrowRecordBatch,
  places: DirectionPlaces | undefined,
): { readonly azimuth: Float64Array; readonly zenith: Float64Array } | undefined {
  if (!places) return undefined
  return {
    azimuth: readNullable(recordBatch, places.azimuth),
    zenith: readNullable(recordBatch, places.zenith),
  }
}

/** Names of the columns of a reference direction, of events and of predictions. */
export const REFERENCE_COLUMNS = ['reference_azimuth', 'reference_zenith'] as const

/** Numbers of a nullable column, NaN where it is null. */
export function readNullable(recordBatch: ArrowRecordBatch, place: ColumnPlace): Float64Array {
  const { values, valid } = readValues(recordBatch, place, float64)
  return valid ? values.map((value, i) => (isValid(valid, i) ? value : Number.NaN)) : values
}

/** Where a stream says when its events happened. Nanoseconds since 1970, as plain numbers or as Arrow's timestamps. */
export function placeOfUtc(places: ReadonlyMap<string, ColumnPlace>): ColumnPlace | undefined {
  return places.has('utc') ? wantColumn(places, 'utc', [int64.name, 'timestamp[ns]']) : undefined
}

/** Times of events, `UTC_UNKNOWN` where they are null; undefined where the column is not there. */
export function readUtc(
  recordBatch: ArrowRecordBatch,
  place: ColumnPlace | undefined,
): BigInt64Array | undefined {
  if (!place) return undefined
  const { values, valid } = readValues(recordBatch, place, int64)
  return valid ? values.map((value, i) => (isValid(valid, i) ? value : UTC_UNKNOWN)) : values
}
