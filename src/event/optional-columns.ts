import { type ColumnPlace, float64, int64, isValid, readValues, wantColumn } from './arrow-columns.ts'
import type { ArrowRecordBatch } from './arrow-read.ts'
import { type Truth, UTC_UNKNOWN } from './event-batch.ts'

/** The true directions of a record batch; undefined where neither column is there. */
export function readTruth(
  recordBatch: ArrowRecordBatch,
  azimuth: ColumnPlace | undefined,
  zenith: ColumnPlace | undefined,
): Truth | undefined {
  if (!azimuth || !zenith) return undefined
  return { azimuth: readNullable(recordBatch, azimuth), zenith: readNullable(recordBatch, zenith) }
}

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
