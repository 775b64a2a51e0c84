import { access, constants, stat } from 'node:fs/promises'
import type { DuckDBConnection } from '@duckdb/node-api'
import { UsageError } from '../../errors.ts'
import { isKnownDetector } from '../../event/sensors.ts'
import { firstLine, queryRows, quoteIdentifier, toLiteralPath } from './duckdb.ts'

/** What each column of a pulse file is called in SQL and how it becomes what the event form holds. */
export interface PulseColumn {
  readonly name: PulseColumnName
  /** Quoted name in the file. */
  readonly raw: string
  /** The event form's type. */
  readonly type: string
  /** SQL that gives the value in that type, or NULL where it cannot hold it. */
  readonly value: string
}

export type PulseColumnName = 'event_id' | 'sensor_id' | 'time' | 'charge' | 'auxiliary'

/** DuckDB's name of the type that the event form has for each column. */
const EVENT_TYPES = {
  event_id: 'BIGINT',
  sensor_id: 'USMALLINT',
  time: 'FLOAT',
  charge: 'FLOAT',
  auxiliary: 'UTINYINT',
} as const satisfies Record<PulseColumnName, string>

export const PULSE_COLUMNS = ['event_id', 'sensor_id', 'time', 'charge', 'auxiliary'] as const

/** Up to here float32 keeps whole nanoseconds apart: 2^24. */
const TIME_LIMIT_NS = 16_777_216

const WHOLE = /^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/
const REAL = /^(FLOAT|DOUBLE|DECIMAL.*)$/

/** Any table function of DuckDB with a Parquet file as its parameter; paths are parameters, never part of SQL. */
export const PARQUET_ROWS = 'read_parquet(?, hive_partitioning = false, file_row_number = true)'

/** Columns of a Parquet file and their DuckDB types. @throws UsageError where it is not a readable Parquet file */
export async function describeParquet(
  connection: DuckDBConnection,
  file: string,
): Promise<Map<string, string>> {
  await checkReadable(file)
  try {
    const sql = 'DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)'
    const rows = await queryRows(connection, sql, [toLiteralPath(file)])
    return new Map(rows.map(([name, type]) => [String(name), String(type)]))
  } catch (error) {
    throw unreadable(file, error)
  }
}

/**
 * Finds the five pulse columns. The event id is the column `event_id` or `event_no`, or the pandas index.
 * @throws UsageError `source_unreadable` naming the column that is missing or of another type, and what columns exist;
 * also where the file names another detector
 */
export async function findPulseColumns(connection: DuckDBConnection, file: string): Promise<PulseColumn[]> {
  const types = await describeParquet(connection, file)
  const metadata = await readKeyValues(connection, file)
  checkDetectorName(file, metadata)
  const columns: PulseColumn[] = []
  for (const name of PULSE_COLUMNS) {
    const raw =
      name === 'event_id'
        ? await findEventId(connection, { file, types, pandas: metadata.get('pandas') })
        : types.has(name) && name
    const type = raw && types.get(raw)
    if (!raw || !type) throw missingColumn(file, name, types)
    const quoted = quoteIdentifier(raw)
    columns.push({ name, raw: quoted, type: EVENT_TYPES[name], value: toValueSql(file, name, quoted, type) })
  }
  return columns
}

export function missingColumn(file: string, name: string, types: Map<string, string>): UsageError {
  const existing = [...types].map(([column, type]) => `${column} ${type}`).join(', ')
  const hint =
    name === 'event_id' && types.has(UNNAMED_INDEX)
      ? `; ${UNNAMED_INDEX} numbers the rows, as pandas leaves it behind after a filter, and is no event id`
      : ''
  return new UsageError('source_unreadable', `${file}: column ${name} is missing; it has ${existing}${hint}`)
}

/** What DuckDB or the file system says of a file that cannot be read, as one sentence with the file's name. */
export function unreadable(file: string, error: unknown): UsageError {
  if (error instanceof UsageError) return error
  const told = firstLine(error)
  const remedy = told.startsWith('Out of Memory Error')
    ? '; its pages are too large for bounded memory, write it again with smaller row groups'
    : ''
  return new UsageError('source_unreadable', `${file}: not readable as Parquet: ${told}${remedy}`, {
    cause: error,
  })
}

/** @throws UsageError `source_missing`, or `source_unreadable` for a folder or a file without the right to read it */
export async function checkReadable(file: string): Promise<void> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new UsageError('source_missing', `${file}: no such file (${firstLine(cause)})`, { cause })
  })
  if (found.isDirectory()) {
    throw new UsageError(
      'source_unreadable',
      `${file}: is a folder; give files, such as parquet:${file}/*.parquet`,
    )
  }
  await access(file, constants.R_OK).catch((cause: unknown) => {
    throw new UsageError('source_unreadable', `${file}: may not be read (${firstLine(cause)})`, { cause })
  })
}

/** The file's own notes that are read here, by key. */
async function readKeyValues(connection: DuckDBConnection, file: string): Promise<Map<string, string>> {
  const sql = `SELECT decode(key), decode(value) FROM parquet_kv_metadata(?)
    WHERE key IN ('pandas'::BLOB, 'detector'::BLOB, 'nustream.detector'::BLOB)`
  const rows = await queryRows(connection, sql, [toLiteralPath(file)])
  return new Map(rows.map(([key, value]) => [String(key), String(value)]))
}

function checkDetectorName(file: string, metadata: ReadonlyMap<string, string>): void {
  const name = metadata.get('nustream.detector') ?? metadata.get('detector')
  if (name === undefined || isKnownDetector(name)) return
  const message = `${file}: its events are of the detector ${JSON.stringify(name)}; nustream reconstructs those of IceCube-86`
  throw new UsageError('source_unreadable', message)
}

/** What pandas calls an index without a name. */
const UNNAMED_INDEX = '__index_level_0__'
/** Of so many rows some neighbours belong to one event. */
const INDEX_ROWS = 1_000

interface FileColumns {
  readonly file: string
  readonly types: ReadonlyMap<string, string>
  /** What pandas notes of the frame, as JSON. */
  readonly pandas: string | undefined
}

/** `event_no` is GraphNeT's name of it. The index of a pandas frame is a column of its own name, or one without a name. */
async function findEventId(
  connection: DuckDBConnection,
  { file, types, pandas }: FileColumns,
): Promise<string | undefined> {
  for (const name of ['event_id', 'event_no']) {
    if (types.has(name)) return name
    const field = pandas === undefined ? undefined : pandasFieldOf(pandas, name)
    if (field !== undefined && types.has(field)) return field
  }
  const isIndex = types.has(UNNAMED_INDEX) && (await hasRuns(connection, file, UNNAMED_INDEX))
  return isIndex ? UNNAMED_INDEX : undefined
}

/** Whether neighbouring rows share a value, as those of an event do and row numbers never. */
async function hasRuns(connection: DuckDBConnection, file: string, column: string): Promise<boolean> {
  const sql = `SELECT ${quoteIdentifier(column)} FROM ${PARQUET_ROWS} LIMIT ${INDEX_ROWS}`
  const values = (await queryRows(connection, sql, [toLiteralPath(file)])).map(([value]) => value)
  return values.length === 1 || values.some((value, i) => i > 0 && value === values[i - 1])
}

function pandasFieldOf(metadata: string, name: string): string | undefined {
  try {
    const { columns } = JSON.parse(metadata) as { columns?: { name?: unknown; field_name?: unknown }[] }
    const field = columns?.find((column) => column.name === name)?.field_name
    return typeof field === 'string' ? field : undefined
  } catch {
    // Metadata that is not pandas's own form says nothing about the index.
    return undefined
  }
}

function toValueSql(file: string, name: PulseColumnName, raw: string, type: string): string {
  const isReal = REAL.test(type)
  if (!(isReal || WHOLE.test(type) || (name === 'auxiliary' && type === 'BOOLEAN'))) {
    throw new UsageError('source_unreadable', `${file}: column ${name} is ${type}; it should hold numbers`)
  }
  if (name !== 'time') return toCastSql(name, raw, isReal)
  const isHeld = `${raw} BETWEEN -${TIME_LIMIT_NS} AND ${TIME_LIMIT_NS}`
  // The event form can hold NaN and infinity; checkEvents() rejects them by name.
  const held = isReal ? `${isHeld} OR NOT isfinite(${raw}::DOUBLE)` : isHeld
  return `CASE WHEN ${held} THEN ${toCastSql(name, raw, isReal)} END`
}

function toCastSql(name: PulseColumnName, raw: string, isReal: boolean): string {
  const type = EVENT_TYPES[name]
  const cast = `TRY_CAST(${raw} AS ${type})`
  // A cast would round 3.7 to 4; pandas makes whole columns real ones wherever a value is missing.
  return isReal && type !== 'FLOAT' ? `CASE WHEN ${raw} = trunc(${raw}) THEN ${cast} END` : cast
}
