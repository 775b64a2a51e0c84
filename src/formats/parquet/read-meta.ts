import type { DuckDBConnection } from '@duckdb/node-api'
import { TOPOLOGIES } from '../../event/event-batch.ts'
import { type DuckDb, queryRows, quoteIdentifier, quoteText, toLiteralPath } from './duckdb.ts'
import { checkReadable, findPulseColumns, missingColumn, unreadable } from './pulse-columns.ts'

/** What a data set says of its events: one file, or a folder of files of which each is of one batch. */
export interface Meta {
  /** The file or folder, for messages. */
  readonly path: string
  readonly files: readonly MetaFile[]
}

export interface MetaFile {
  readonly path: string
  /** The batch that all its events are of, where its name says so. */
  readonly batchId: number | undefined
}

/** True directions of some events. Event ids ascend; NaN where the file has no value. Radians. */
export interface TruthTable {
  readonly eventIds: BigInt64Array
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
  /** Index into `TOPOLOGIES`; undefined where the file has no column `topology`. */
  readonly topology?: Uint8Array
}

/** Events that a data set says it has. */
export interface MetaListing {
  readonly eventIds: BigInt64Array
  /** 1 where the listing says that the event has pulses; 0 where it has none or the listing does not say. [events] */
  readonly hasPulses: Uint8Array
}

/**
 * Events that the meta files have of some batches; undefined where they do not say which batch an event belongs to.
 * @throws UsageError `source_unreadable`
 */
export function countMetaEvents(
  db: DuckDb,
  meta: Meta,
  batchIds: readonly number[],
): Promise<number | undefined> {
  return withMeta(db, meta, async ({ connection, types, id }) => {
    const rows = ofBatches(meta, types, batchIds)
    if (rows === undefined) return undefined
    const [[count]] = await queryRows(connection, `SELECT count(${id}) FROM ${rows}`)
    return Number(count)
  })
}

/** The same events by id. @throws UsageError `source_unreadable` */
export function readListing(
  db: DuckDb,
  meta: Meta,
  batchIds: readonly number[],
): Promise<MetaListing | undefined> {
  return withMeta(db, meta, async ({ connection, types, id }) => {
    const rows = ofBatches(meta, types, batchIds)
    if (rows === undefined) return undefined
    const isTold = types.has('first_pulse_index') && types.has('last_pulse_index')
    const hasPulses = isTold ? 'coalesce(last_pulse_index >= first_pulse_index, false)' : 'false'
    const sql = `SELECT ${id}::BIGINT, ${hasPulses} FROM ${rows} AND ${id} IS NOT NULL`
    const [ids = [], told = []] = (await connection.runAndReadAll(sql)).getColumns()
    return {
      eventIds: BigInt64Array.from(ids as bigint[]),
      hasPulses: Uint8Array.from(told as boolean[], Number),
    }
  })
}

/**
 * Truth of the events that the meta files place in a batch; undefined where they name no batches.
 * @throws UsageError `source_unreadable`
 */
export function readTruthOfBatch(db: DuckDb, meta: Meta, batchId: number): Promise<TruthTable | undefined> {
  return withMeta(db, meta, async (opened) => {
    const rows = ofBatches(meta, opened.types, [batchId])
    return rows === undefined ? undefined : readTruth(opened, `${rows} AND ${opened.id} IS NOT NULL`)
  })
}

/**
 * Truth of the events whose ids a pulse file holds, wherever the meta files have them. Memory is that of one pulse file's
 * events, however many the meta files have.
 * @throws UsageError `source_unreadable`
 */
export function readTruthOfFile(db: DuckDb, meta: Meta, pulseFile: string): Promise<TruthTable> {
  return withMeta(db, meta, async (opened) => {
    const [eventId] = await findPulseColumns(opened.connection, pulseFile)
    const ids = `SELECT ${eventId.value} FROM ${rowsOf([pulseFile])}`
    return readTruth(
      opened,
      `${rowsOf(meta.files.map(({ path }) => path))} WHERE ${opened.id}::BIGINT IN (${ids})`,
    )
  })
}

interface OpenedMeta {
  readonly connection: DuckDBConnection
  readonly meta: Meta
  readonly types: Map<string, string>
  /** Quoted name of the column with the event id. */
  readonly id: string
}

async function withMeta<T>(db: DuckDb, meta: Meta, work: (opened: OpenedMeta) => Promise<T>): Promise<T> {
  const connection = await db.connect()
  try {
    for (const { path } of meta.files) await checkReadable(path)
    const described = await queryRows(
      connection,
      `DESCRIBE SELECT * FROM ${rowsOf(meta.files.map(({ path }) => path))}`,
    )
    const types = new Map(described.map(([name, type]) => [String(name), String(type)]))
    const id = ['event_id', 'event_no'].find((name) => types.has(name))
    if (id === undefined) throw missingColumn(meta.path, 'event_id', types)
    return await work({ connection, meta, types, id: quoteIdentifier(id) })
  } catch (error) {
    throw unreadable(meta.path, error)
  } finally {
    connection.disconnectSync()
  }
}

/** Rows of some batches, as SQL that ends in a condition; undefined where the files name no batches. */
function ofBatches(
  meta: Meta,
  types: ReadonlyMap<string, string>,
  batchIds: readonly number[],
): string | undefined {
  const files = meta.files.filter(({ batchId }) => batchId !== undefined && batchIds.includes(batchId))
  if (files.length > 0) return `${rowsOf(files.map(({ path }) => path))} WHERE true`
  if (!types.has('batch_id')) return undefined
  return `${rowsOf(meta.files.map(({ path }) => path))} WHERE batch_id IN (${batchIds.map(Number).join(', ')})`
}

function rowsOf(paths: readonly string[]): string {
  const list = paths.map((path) => quoteText(toLiteralPath(path))).join(', ')
  return `read_parquet([${list}], hive_partitioning = false, union_by_name = true)`
}

/** Place of a topology's name in `TOPOLOGIES`; a name that is not there is unknown. */
const TOPOLOGY_INDEX = `greatest(list_position([${TOPOLOGIES.map(quoteText).join(', ')}], topology::VARCHAR), 1) - 1`

async function readTruth({ connection, meta, types, id }: OpenedMeta, rows: string): Promise<TruthTable> {
  for (const name of ['azimuth', 'zenith']) if (!types.has(name)) throw missingColumn(meta.path, name, types)
  const sql = `SELECT ${id}::BIGINT AS id, coalesce(azimuth::DOUBLE, 'NaN'), coalesce(zenith::DOUBLE, 'NaN')
    ${types.has('topology') ? `, ${TOPOLOGY_INDEX}` : ''} FROM ${rows} ORDER BY id`
  const [ids, azimuth, zenith, topology] = (await connection.runAndReadAll(sql)).getColumns()
  return {
    eventIds: BigInt64Array.from((ids ?? []) as bigint[]),
    azimuth: Float64Array.from((azimuth ?? []) as number[]),
    zenith: Float64Array.from((zenith ?? []) as number[]),
    ...(topology && { topology: Uint8Array.from(topology as number[]) }),
  }
}
