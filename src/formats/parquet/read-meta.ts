import { TOPOLOGIES } from '../../event/event-batch.ts'
import { type DuckDb, toLiteralPath } from './duckdb.ts'
import { describeParquet, findPulseColumns, missingColumn, unreadable } from './pulse-columns.ts'

/**
 * Events that the meta file has of some batches; undefined where it does not say which batch an event belongs to.
 * @throws UsageError `source_unreadable`
 */
export async function countMetaEvents(
  db: DuckDb,
  metaFile: string,
  batchIds: readonly number[],
): Promise<number | undefined> {
  const [counts] = (await select(db, 'count(*)', metaFile, batchIds)) ?? []
  return counts && Number(counts[0])
}

/** Their ids. @throws UsageError `source_unreadable` */
export async function readMetaIds(
  db: DuckDb,
  metaFile: string,
  batchIds: readonly number[],
): Promise<BigInt64Array | undefined> {
  const columns = await select(db, 'event_id::BIGINT', metaFile, batchIds)
  return columns && BigInt64Array.from((columns[0] ?? []) as bigint[])
}

async function select(
  db: DuckDb,
  what: string,
  metaFile: string,
  batchIds: readonly number[],
): Promise<unknown[][] | undefined> {
  const connection = await db.connect()
  try {
    const types = await describeParquet(connection, metaFile)
    if (!types.has('batch_id') || !types.has('event_id')) return undefined
    const sql = `SELECT ${what} FROM read_parquet(?, hive_partitioning = false)
      WHERE event_id IS NOT NULL AND batch_id IN (${batchIds.map(Number).join(', ')})`
    return (await connection.runAndReadAll(sql, [toLiteralPath(metaFile)])).getColumns()
  } catch (error) {
    throw unreadable(metaFile, error)
  } finally {
    connection.disconnectSync()
  }
}

/** True directions of some events. Event ids ascend; NaN where the file has no value. Radians. */
export interface TruthTable {
  readonly eventIds: BigInt64Array
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
  /** Index into `TOPOLOGIES`; undefined where the file has no column `topology`. */
  readonly topology?: Uint8Array
}

export interface TruthQuery {
  /** Parquet file with columns event_id, azimuth, zenith and, optionally, batch_id and topology. */
  readonly metaFile: string
  /** The pulse file whose events are wanted, and its batch id where it has one. */
  readonly pulseFile: string
  readonly batchId: number | undefined
}

/** Place of a topology's name in `TOPOLOGIES`; a name that is not there is unknown. */
const TOPOLOGY_INDEX = `greatest(list_position([${TOPOLOGIES.map((name) => `'${name}'`).join(', ')}], topology::VARCHAR), 1) - 1`

/**
 * Truth of the events of one pulse file: those with its batch id, or those whose ids it holds where there is no
 * batch id to go by. Memory is that of one pulse file's events, however many the meta file has.
 * @throws UsageError `source_unreadable`
 */
export async function readTruth(db: DuckDb, query: TruthQuery): Promise<TruthTable> {
  const connection = await db.connect()
  const { metaFile, pulseFile, batchId } = query
  const meta = toLiteralPath(metaFile)
  try {
    const types = await describeParquet(connection, metaFile)
    for (const name of ['event_id', 'azimuth', 'zenith']) {
      if (!types.has(name)) throw missingColumn(metaFile, name, types)
    }
    const select = `SELECT event_id::BIGINT AS id, coalesce(azimuth::DOUBLE, 'NaN'), coalesce(zenith::DOUBLE, 'NaN')
      ${types.has('topology') ? `, ${TOPOLOGY_INDEX}` : ''} FROM read_parquet(?, hive_partitioning = false)`
    const collect = async (where: string, value: string | number) => {
      const result = await connection.runAndReadAll(`${select} WHERE ${where} ORDER BY id`, [meta, value])
      const [ids, azimuth, zenith, topology] = result.getColumns()
      return {
        eventIds: BigInt64Array.from((ids ?? []) as bigint[]),
        azimuth: Float64Array.from((azimuth ?? []) as number[]),
        zenith: Float64Array.from((zenith ?? []) as number[]),
        ...(topology && { topology: Uint8Array.from(topology as number[]) }),
      }
    }
    if (types.has('batch_id') && batchId !== undefined) {
      const found = await collect('event_id IS NOT NULL AND batch_id = ?', batchId)
      if (found.eventIds.length > 0) return found
    }
    // Ids of the pulse file as pandas may have left them: a meta file that names no batch goes with a small data set.
    const [eventId] = await findPulseColumns(connection, pulseFile)
    const ids = `SELECT ${eventId.value} FROM read_parquet(?, hive_partitioning = false)`
    return await collect(`id IN (${ids})`, toLiteralPath(pulseFile))
  } catch (error) {
    throw unreadable(metaFile, error)
  } finally {
    connection.disconnectSync()
  }
}
