import { type ColumnPlace, float64, isValid, readValues } from './arrow-columns.ts'
import type { ArrowRecordBatch } from './arrow-read.ts'
import type { Truth } from './event-batch.ts'

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
