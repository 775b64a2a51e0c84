import { type DuckDb, toLiteralPath } from './duckdb.ts'
import { describeParquet, unreadable } from './pulse-columns.ts'

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
