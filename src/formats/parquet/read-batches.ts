import { firstLine, openDuckDb, queryRows, quoteText, toLiteralPath } from './duckdb.ts'

/** A batch of predictions as files of an archive have it. */
export interface StoredBatch {
  readonly batchId: string
  readonly model: string
  readonly modelVersion: string
  /** Ascending. */
  readonly eventIds: readonly bigint[]
}

/**
 * Those of some batches that files of an archive hold.
 * @throws Error where a file cannot be read
 */
export async function readBatches(
  files: readonly string[],
  batchIds: readonly string[],
): Promise<StoredBatch[]> {
  if (files.length === 0 || batchIds.length === 0) return []
  const db = await openDuckDb()
  const connection = await db.connect()
  try {
    const paths = files.map((file) => quoteText(toLiteralPath(file))).join(', ')
    const sql = `SELECT batch_id, model, model_version, event_id FROM read_parquet([${paths}], union_by_name = true)
      WHERE batch_id IN (${batchIds.map(quoteText).join(', ')}) ORDER BY ALL`
    const found = new Map<string, StoredBatch & { eventIds: bigint[] }>()
    for (const [batchId, model, modelVersion, eventId] of await queryRows(connection, sql)) {
      const key = JSON.stringify([batchId, model, modelVersion])
      const batch = found.get(key) ?? {
        batchId: String(batchId),
        model: String(model),
        modelVersion: String(modelVersion),
        eventIds: [],
      }
      found.set(key, batch)
      if (typeof eventId === 'bigint') batch.eventIds.push(eventId)
    }
    return [...found.values()]
  } catch (cause) {
    throw new Error(`files of the archive cannot be read: ${firstLine(cause)}`, { cause })
  } finally {
    connection.disconnectSync()
    db.closeSync()
  }
}
