import type { DuckDBConnection } from '@duckdb/node-api'
import { UsageError } from '../../errors.ts'
import { SENSOR_COUNT, SENSORS_PER_STRING } from '../../event/sensors.ts'
import { type DuckDb, openDuckDb, queryRows, toLiteralPath } from './duckdb.ts'
import { describeParquet, findPulseColumns, PARQUET_ROWS, unreadable } from './pulse-columns.ts'
import { countRows, readEventIds } from './read.ts'

/** Sensors of the first pulses of a file. */
export interface SensorSample {
  readonly pulses: number
  /** Strings of IceCube-86 with at least one pulse. */
  readonly strings: number
  /** Pulses of sensors that IceCube-86 does not have, and how many such sensors. */
  readonly unknownPulses: number
  readonly unknownSensors: number
}

const SAMPLE_ROWS = 65_536

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
      return { ...facts, pulses: { events, sample: await sampleSensors(connection, file) }, noPulsesReason }
    } finally {
      connection.disconnectSync()
    }
  } catch (error) {
    throw unreadable(file, error)
  } finally {
    db.closeSync()
  }
}

async function whyNoPulses(db: DuckDb, file: string): Promise<string | undefined> {
  try {
    await countRows(db, file)
    return undefined
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return error.message.replace(`${file}: `, '')
  }
}

async function sampleSensors(connection: DuckDBConnection, file: string): Promise<SensorSample> {
  const [, sensorId] = await findPulseColumns(connection, file)
  const isKnown = `coalesce(sensor BETWEEN 0 AND ${SENSOR_COUNT - 1}, false)`
  const sql = `SELECT count(*), count(DISTINCT sensor // ${SENSORS_PER_STRING}) FILTER (${isKnown}),
    count(*) FILTER (NOT ${isKnown}), count(DISTINCT sensor) FILTER (NOT ${isKnown})
    FROM (SELECT TRY_CAST(${sensorId.raw} AS HUGEINT) AS sensor FROM ${PARQUET_ROWS} LIMIT ${SAMPLE_ROWS})`
  const [row] = await queryRows(connection, sql, [toLiteralPath(file)])
  const [pulses, strings, unknownPulses, unknownSensors] = row.map(Number)
  return { pulses, strings, unknownPulses, unknownSensors }
}
