import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { DuckDBConnection, DuckDBDataChunk, DuckDBResult } from '@duckdb/node-api'
import { type DuckDb, firstLine, queryRows, toLiteralPath } from './duckdb.ts'
import {
  checkReadable,
  findPulseColumns,
  PARQUET_ROWS,
  type PulseColumn,
  type PulseColumnName,
  unreadable,
} from './pulse-columns.ts'

/** Up to 2,048 neighbouring rows of a pulse file. The arrays are good until the next rows are asked for. */
export interface PulseRows {
  /** Number of the first in the file, from 0. */
  readonly firstRow: number
  readonly eventIds: BigInt64Array
  /** `eventIds` as pairs of 32-bit words, low one first: comparing them makes no BigInt. */
  readonly eventIdWords: Int32Array
  readonly sensorIds: Uint16Array
  readonly times: Float32Array
  readonly charges: Float32Array
  readonly auxiliary: Uint8Array
  /** Rows with a value that the arrays cannot hold (they hold 0 there), ascending. */
  readonly faults: readonly PulseFault[]
}

export interface PulseFault {
  /** Index in the arrays. */
  readonly index: number
  readonly column: PulseColumnName
  /** The value as the file has it, such as `-1` or `null`. */
  readonly value: string
}

/** How many rows pass between two collections of garbage; see `exposeCollector`. */
const ROWS_PER_COLLECTION = 65_536

/**
 * Rows of a Parquet file from `fromRow` on, in the order of the file, with memory bounded by its pages, whatever the size
 * of its row groups. Skipping decodes no pulse.
 *
 * Two queries share the work. The first knows no bad values and is fast. Where it meets one, the second takes over from
 * there: it also says what the value was.
 * @throws UsageError `source_missing`, `source_unreadable`
 */
export async function* readPulses(db: DuckDb, file: string, fromRow = 0): AsyncGenerator<PulseRows> {
  const connection = await db.connect()
  try {
    const toRow = await countFileRows(connection, file)
    // Frames without rows lose the types of their columns, and some their columns.
    if (toRow === 0) return
    const columns = await findPulseColumns(connection, file)
    let row = fromRow
    const stream = (sql: string) => streamChunks(connection, { file, sql, fromRow: row, toRow })
    for await (const chunk of stream(toFastSql(columns))) {
      if (hasNull(chunk, columns.length)) break
      yield toPulseRows(chunk, row, [])
      row += chunk.rowCount
    }
    if (row === toRow) return
    for await (const chunk of stream(toCarefulSql(columns))) {
      yield toPulseRows(chunk, row, readFaults(chunk, columns))
      row += chunk.rowCount
    }
  } finally {
    connection.disconnectSync()
  }
}

/** Stands for an event id that is no number; no event has the lowest of 2^64 ids. */
const NO_ID = -(2n ** 63n)

/** Event ids of rows 0 to `toRow` (exclusive), one for each run of neighbouring rows; unreadable ids are left out. */
export async function* readEventIds(db: DuckDb, file: string, toRow: number): AsyncGenerator<bigint> {
  const connection = await db.connect()
  try {
    const rows = await countFileRows(connection, file)
    if (rows === 0) return
    const [eventId] = await findPulseColumns(connection, file)
    const sql = `SELECT coalesce(${eventId.value}, ${NO_ID}) FROM ${PARQUET_ROWS} WHERE file_row_number >= ? LIMIT ${toRow}`
    let last: bigint | undefined
    for await (const chunk of streamChunks(connection, {
      file,
      sql,
      fromRow: 0,
      toRow: Math.min(toRow, rows),
    })) {
      const ids = itemsOf<BigInt64Array>(chunk, 0)
      const words = toWords(ids)
      for (let i = 0; i < ids.length; i++) {
        const isSame = i > 0 && words[2 * i] === words[2 * i - 2] && words[2 * i + 1] === words[2 * i - 1]
        if (isSame || ids[i] === last) continue
        last = ids[i]
        if (last !== NO_ID) yield last
      }
    }
  } finally {
    connection.disconnectSync()
  }
}

/** Rows that the footer says the file has. @throws UsageError as `readPulses` does */
export async function countRows(db: DuckDb, file: string): Promise<number> {
  const connection = await db.connect()
  try {
    const rows = await countFileRows(connection, file)
    if (rows > 0) await findPulseColumns(connection, file)
    return rows
  } finally {
    connection.disconnectSync()
  }
}

async function countFileRows(connection: DuckDBConnection, file: string): Promise<number> {
  await checkReadable(file)
  try {
    const sql = 'SELECT count(*) FROM read_parquet(?, hive_partitioning = false)'
    const [[rows]] = await queryRows(connection, sql, [toLiteralPath(file)])
    return Number(rows)
  } catch (error) {
    throw unreadable(file, error)
  }
}

function toFastSql(columns: readonly PulseColumn[]): string {
  return `SELECT ${columns.map(({ value }) => value).join(', ')} FROM ${PARQUET_ROWS} WHERE file_row_number >= ?`
}

function toCarefulSql(columns: readonly PulseColumn[]): string {
  const cast = columns.map(({ raw, value }, i) => `${value} AS v${i}, ${raw} AS r${i}`)
  const values = columns.map(({ type }, i) => `coalesce(v${i}, 0)::${type}`)
  const faulty = columns.map((_, i) => `WHEN v${i} IS NULL THEN '${i}' || coalesce(r${i}::VARCHAR, 'null')`)
  return `SELECT ${values.join(', ')}, CASE ${faulty.join(' ')} END
    FROM (SELECT ${cast.join(', ')} FROM ${PARQUET_ROWS} WHERE file_row_number >= ?)`
}

interface ChunkQuery {
  readonly file: string
  readonly sql: string
  /** The parameter of the query, and the row that its last one comes before. */
  readonly fromRow: number
  readonly toRow: number
}

async function* streamChunks(
  connection: DuckDBConnection,
  { file, sql, fromRow, toRow }: ChunkQuery,
): AsyncGenerator<DuckDBDataChunk> {
  const collectGarbage = exposeCollector()
  let next: Promise<DuckDBDataChunk | null> | undefined
  let row = fromRow
  let collectedAt = fromRow
  try {
    const result = await connection.stream(sql, [toLiteralPath(file), fromRow])
    for (next = fetchChunk(result); ; ) {
      const chunk = await next
      if (!chunk || chunk.rowCount === 0) break
      // DuckDB decodes the next chunk on its thread while this one is copied.
      next = fetchChunk(result)
      row += chunk.rowCount
      if (row - collectedAt > ROWS_PER_COLLECTION) {
        collectGarbage()
        collectedAt = row
      }
      yield chunk
    }
    if (row < toRow) throw await whyBroken(connection, { file, sql, fromRow: row, toRow })
  } catch (error) {
    throw unreadable(file, error)
  } finally {
    // A connection may be closed only when nothing runs on it.
    await next?.catch(() => undefined)
  }
}

/** A stream of DuckDB that meets a broken page ends as if the file did; the same query read as a whole says why. */
async function whyBroken(connection: DuckDBConnection, query: ChunkQuery): Promise<Error> {
  const { file, sql, fromRow, toRow } = query
  const what = `reading broke off at row ${fromRow} of ${toRow}`
  try {
    await connection.run(`SELECT count(COLUMNS(*)) FROM (${sql})`, [toLiteralPath(file), fromRow])
    return new Error(what)
  } catch (cause) {
    return new Error(`${what}: ${firstLine(cause)}`, { cause })
  }
}

function fetchChunk(result: DuckDBResult): Promise<DuckDBDataChunk | null> {
  const chunk = result.fetchChunk()
  // It is awaited one round later; until then its failure is not an unhandled one.
  chunk.catch(() => undefined)
  return chunk
}

function toPulseRows(chunk: DuckDBDataChunk, firstRow: number, faults: readonly PulseFault[]): PulseRows {
  const eventIds = itemsOf<BigInt64Array>(chunk, 0)
  return {
    firstRow,
    eventIds,
    eventIdWords: toWords(eventIds),
    sensorIds: itemsOf<Uint16Array>(chunk, 1),
    times: itemsOf<Float32Array>(chunk, 2),
    charges: itemsOf<Float32Array>(chunk, 3),
    auxiliary: itemsOf<Uint8Array>(chunk, 4),
    faults,
  }
}

function readFaults(chunk: DuckDBDataChunk, columns: readonly PulseColumn[]): PulseFault[] {
  const faults: PulseFault[] = []
  const told = chunk.getColumnVector(columns.length)
  for (let index = 0; index < chunk.rowCount; index++) {
    const fault = told.getItem(index)
    if (typeof fault !== 'string') continue
    faults.push({ index, column: columns[Number(fault[0])].name, value: fault.slice(1) })
  }
  return faults
}

/** What DuckDB's vectors are made of: `getItem` is too slow for 33 million rows, and would make a BigInt for each. */
interface RawVector<T> {
  readonly items: T
  readonly validity: { readonly data: BigUint64Array | null }
}

function rawVector<T>(chunk: DuckDBDataChunk, column: number): RawVector<T> {
  // Private in DuckDB's types; read.test.ts fails when a new version moves them.
  return chunk.getColumnVector(column) as unknown as RawVector<T>
}

function itemsOf<T>(chunk: DuckDBDataChunk, column: number): T {
  return rawVector<T>(chunk, column).items
}

function hasNull(chunk: DuckDBDataChunk, columns: number): boolean {
  for (let column = 0; column < columns; column++) {
    const bits = rawVector(chunk, column).validity.data
    if (!bits) continue
    for (let row = 0; row < chunk.rowCount; row += 64) {
      const rows = Math.min(64, chunk.rowCount - row)
      const all = rows === 64 ? 0xffff_ffff_ffff_ffffn : (1n << BigInt(rows)) - 1n
      if ((bits[row / 64] & all) !== all) return true
    }
  }
  return false
}

function toWords(ids: BigInt64Array): Int32Array {
  return new Int32Array(ids.buffer, ids.byteOffset, ids.length * 2)
}

/**
 * What frees the chunks that are done with. Each is a few small objects to V8, which sees no reason to collect them, but
 * holds 40 kB of DuckDB's memory: left alone, some 90 MB of them pile up. Takes a millisecond.
 */
function exposeCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  return () => {
    if (typeof collect === 'function') collect({ type: 'minor' })
  }
}
