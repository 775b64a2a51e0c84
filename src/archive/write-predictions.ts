import { toUnixMs } from '../event/event-batch.ts'
import { openingAngles } from '../event/opening-angles.ts'
import type { PredictionBatch } from '../event/prediction-batch.ts'
import { type ColumnArray, openParquetWriter, type ParquetColumn } from '../formats/parquet/write.ts'

/** The columns of an archived prediction, one row per event. Angles in radians, times in UTC; null where not known. */
const COLUMNS = [
  { name: 'event_id', type: 'int64', from: 'int64' },
  { name: 'azimuth', type: 'double', from: 'float64' },
  { name: 'zenith', type: 'double', from: 'float64' },
  { name: 'kappa', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'degenerate', type: 'boolean', from: 'uint8' },
  { name: 'pulses', type: 'int32', from: 'int32' },
  { name: 'true_azimuth', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'true_zenith', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'angular_error', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'utc', type: 'timestamp', from: 'float64', nanIsNull: true },
  { name: 'model', type: 'string', from: 'string' },
  { name: 'model_version', type: 'string', from: 'string' },
  { name: 'batch_id', type: 'string', from: 'string' },
  { name: 'consumer', type: 'string', from: 'string' },
  { name: 'emitted_at', type: 'timestamp', from: 'float64' },
  { name: 'predicted_at', type: 'timestamp', from: 'float64' },
] as const satisfies readonly ParquetColumn[]

/** Writes predictions to a Parquet file, in order. */
export async function writePredictions(path: string, batches: readonly PredictionBatch[]): Promise<void> {
  await using writer = await openParquetWriter(path, COLUMNS, { compression: 'zstd' })
  for (const batch of batches) await writer.append(toColumns(batch))
  await writer.finish()
}

/** In the order of COLUMNS. */
function toColumns(predictions: PredictionBatch): ColumnArray[] {
  const { origin, truth, utc } = predictions
  const events = predictions.eventIds.length
  const unknown = new Float64Array(events).fill(Number.NaN)
  const times = (ms: number): Float64Array => new Float64Array(events).fill(ms)
  const same = (text: string): string[] => Array<string>(events).fill(text)
  return [
    predictions.eventIds,
    predictions.azimuth,
    predictions.zenith,
    predictions.kappa,
    predictions.degenerate,
    predictions.pulses,
    truth?.azimuth ?? unknown,
    truth?.zenith ?? unknown,
    truth ? openingAngles(predictions, truth) : unknown,
    utc ? Float64Array.from(utc, toUnixMs) : unknown,
    same(origin.model),
    same(origin.modelVersion),
    same(origin.batchId),
    same(origin.consumer),
    times(origin.emittedAtMs),
    times(origin.predictedAtMs),
  ]
}
