import { UsageError } from '../../errors.ts'
import { openDuckDb, queryRows, toLiteralPath } from './duckdb.ts'
import { describeParquet, unreadable } from './pulse-columns.ts'
import { countRows, readEventIds, type SensorSample, sampleSensors } from './read.ts'

/** What a Parquet file holds. */
export interface ParquetSurvey {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: number
  readonly rowGroups: number
  /** Events, where the file has the columns of a pulse file and at least one row. */
  readonly pulses: { readonly events: number; readonly sample: SensorSample } | undefined
  /** Why the file is no pulse file; undefined where it is one. */
  readonly noPulsesReason: string | undefined
}

/**
 * Counts what a Parquet file holds, with memory bounded by its pages. Events are counted by reading the column of their ids.
 * @throws UsageError `source_unreadable` where it cannot be read
 */
export async function surveyParquet(file: string): Promise<ParquetSurvey> {
  const db = await openDuckDb()
  try {
    const connection = await db.connect()
    try {
      const types = await describeParquet(connection, file)
      const sql = 'SELECT num_rows, num_row_groups FROM parquet_file_metadata(?)'
      const [[rows, rowGroups]] = await queryRows(connection, sql, [toLiteralPath(file)])
      const facts = {
        columns: Array.from(types, ([name, type]) => ({ name, type })),
        rows: Number(rows),
        rowGroups: Number(rowGroups),
      }
      const noPulsesReason = facts.rows === 0 ? 'it has no rows' : await whyNoPulses(db, file)
      if (noPulsesReason !== undefined) return { ...facts, pulses: undefined, noPulsesReason }
      let events = 0
      for await (const _ of readEventIds(db, file, facts.rows)) events++
      return { ...facts, pulses: { events, sample: await sampleSensors(db, file) }, noPulsesReason }
    } finally {
      connection.disconnectSync()
    }
  } catch (error) {
    throw unreadable(file, error)
  } finally {
    db.closeSync()
  }
}

async function whyNoPulses(
  db: Awaited<ReturnType<typeof openDuckDb>>,
  file: string,
): Promise<string | undefined> {
  try {
    await countRows(db, file)
    return undefined
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return error.message.replace(`${file}: `, '')
  }
}
