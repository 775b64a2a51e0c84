import { openDuckDb, queryRows } from '../../src/formats/parquet/duckdb.ts'
import type { EventSource, RejectedEvent, SourceChunk, SourceReadOptions } from '../../src/source/source.ts'

/** Writes the result of a query to a Parquet file: DuckDB casts, so any column type is possible. */
export async function writeQuery(
  path: string,
  sql: string,
  options = 'ROW_GROUP_SIZE 122880',
): Promise<void> {
  const db = await openDuckDb({ memoryLimitMb: 8_192 })
  const connection = await db.connect()
  try {
    const target = `'${path.replaceAll("'", "''")}'`
    await connection.run(`COPY (${sql}) TO ${target} (FORMAT parquet, COMPRESSION snappy, ${options})`)
  } finally {
    connection.disconnectSync()
    db.closeSync()
  }
}

/** One row as SQL literals in the order event_id, sensor_id, time, charge, auxiliary. */
export type Row = readonly [
  string | number,
  string | number,
  string | number,
  string | number,
  string | number,
]

/** A query that returns these rows, by default in Kaggle's column types. */
export function rowsSql(rows: readonly Row[], types: Partial<Record<PulseName, string>> = {}): string {
  const names: PulseName[] = ['event_id', 'sensor_id', 'time', 'charge', 'auxiliary']
  const kaggle = {
    event_id: 'BIGINT',
    sensor_id: 'SMALLINT',
    time: 'BIGINT',
    charge: 'DOUBLE',
    auxiliary: 'BOOLEAN',
  }
  const columns = names.map((name) => `${name}::${types[name] ?? kaggle[name]} AS ${name}`)
  const values = rows.map((row) => `(${row.join(', ')})`)
  return `SELECT ${columns.join(', ')} FROM (VALUES ${values.join(', ')}) t(${names.join(', ')})`
}
type PulseName = 'event_id' | 'sensor_id' | 'time' | 'charge' | 'auxiliary'

/** `pulses` valid rows of one event; sensor ids count from 10, times from 6000. */
export function eventRows(id: number | string, pulses = 3): Row[] {
  return Array.from({ length: pulses }, (_, i) => [
    id,
    10 + i,
    6000 + i,
    0.5 + i,
    i % 2 === 0 ? 'true' : 'false',
  ])
}

/** A query for many events: ids 24, 40, 56 …, lengths as IceCube's (median 66, mean about 164), sound values. */
export function kaggleLikeSql(events: number, seed = 0.42): string {
  return `WITH seeded AS MATERIALIZED (SELECT setseed(${seed})),
    events AS MATERIALIZED (SELECT 24 + i * 16 AS event_id, greatest(5, least(110000, CAST(
      exp(ln(66) + 0.62 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()))
      * (CASE WHEN random() < 0.011 THEN 95 ELSE 1 END) AS INTEGER))) AS n FROM range(${events}) t(i), seeded)
    SELECT event_id::BIGINT AS event_id, (random() * 5159)::SMALLINT AS sensor_id,
      (6000 + k * 12000 // n + (random() * 10)::INTEGER)::BIGINT AS time,
      0.025 + 0.05 * (random() * random() * 60)::INTEGER AS charge, random() < 0.7 AS auxiliary
    FROM (SELECT event_id, n, unnest(range(n)) AS k FROM events)`
}

export async function rowCount(path: string): Promise<number> {
  const db = await openDuckDb()
  const connection = await db.connect()
  try {
    const [[rows]] = await queryRows(connection, 'SELECT count(*) FROM read_parquet(?)', [path])
    return Number(rows)
  } finally {
    connection.disconnectSync()
    db.closeSync()
  }
}

export interface ReadSource {
  readonly ids: bigint[]
  readonly rejected: RejectedEvent[]
  readonly chunks: SourceChunk[]
}

/** Reads a source to its end. */
export async function readAll(
  source: EventSource,
  options: Partial<SourceReadOptions> = {},
): Promise<ReadSource> {
  const signal = new AbortController().signal
  const chunks = await Array.fromAsync(source.read({ eventsMax: 256, signal, ...options }))
  return {
    ids: chunks.flatMap(({ events }) => [...events.eventIds]),
    rejected: chunks.flatMap(({ rejected }) => rejected),
    chunks,
  }
}
