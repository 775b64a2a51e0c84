import { join } from 'node:path'
import { openDuckDb, queryRows } from '../../src/formats/parquet/duckdb.ts'

/** One row of the archive's files. */
export interface ArchivedPrediction {
  readonly eventId: bigint
  readonly azimuth: number
  readonly zenith: number
  readonly kappa: number | null
  readonly degenerate: boolean
  readonly pulses: number
  readonly trueAzimuth: number | null
  readonly trueZenith: number | null
  readonly angularError: number | null
  readonly model: string
  readonly modelVersion: string
  readonly batchId: string
  readonly consumer: string
  readonly emittedAtMs: number
  readonly predictedAtMs: number
}

const COLUMNS = [
  ['eventId', 'event_id'],
  ['azimuth', 'azimuth'],
  ['zenith', 'zenith'],
  ['kappa', 'kappa'],
  ['degenerate', 'degenerate'],
  ['pulses', 'pulses'],
  ['trueAzimuth', 'true_azimuth'],
  ['trueZenith', 'true_zenith'],
  ['angularError', 'angular_error'],
  ['model', 'model'],
  ['modelVersion', 'model_version'],
  ['batchId', 'batch_id'],
  ['consumer', 'consumer'],
  ['emittedAtMs', 'CAST(epoch_ms(emitted_at) AS DOUBLE)'],
  ['predictedAtMs', 'CAST(epoch_ms(predicted_at) AS DOUBLE)'],
] as const

/** All predictions in an archive's folder, in the order of files and rows. Empty for a folder without files. */
export async function readArchived(dir: string): Promise<ArchivedPrediction[]> {
  const db = await openDuckDb()
  const connection = await db.connect()
  try {
    const pattern = join(dir, 'predictions-*.parquet')
    const [[files]] = await queryRows(connection, `SELECT count(*)::INTEGER FROM glob('${pattern}')`)
    if (files === 0) return []
    const select = COLUMNS.map(([, sql]) => sql).join(', ')
    const rows = await queryRows(connection, `SELECT ${select} FROM read_parquet('${pattern}')`)
    return rows.map((row) => {
      const entries = COLUMNS.map(([name], i) => [name, row[i]])
      // The columns are those of the interface, in the same order.
      return Object.fromEntries(entries) as ArchivedPrediction
    })
  } finally {
    connection.closeSync()
    db.closeSync()
  }
}

/** Ids of archived events, ascending, with repeats. */
export async function archivedIds(dir: string): Promise<number[]> {
  const rows = await readArchived(dir)
  return rows.map(({ eventId }) => Number(eventId)).sort((a, b) => a - b)
}
