import type { BatchMessage } from '../contract.ts'
import type { SqliteFile } from './file.ts'

/** Adds a batch at the end of the stream, within the caller's transaction. */
export function insertBatch(file: SqliteFile, message: BatchMessage, partition: number): void {
  const { batchId, events, emittedAtMs, payload, traceparent = null } = message
  const { lastInsertRowid } = file
    .sql(
      `INSERT INTO batches (partition, batch_id, events, emitted_at_ms, published_at_ms, traceparent)
       VALUES (?, ?, ?, ?, ?, ?)`,
    )
    .run(partition, batchId, events, Math.round(emittedAtMs), Date.now(), traceparent)
  file.sql('INSERT INTO payloads (seq, payload) VALUES (?, ?)').run(lastInsertRowid, payload)
  file
    .sql('UPDATE account SET waiting_batches = waiting_batches + 1, waiting_events = waiting_events + ?')
    .run(events)
}

/** Takes a batch out, within the caller's transaction; returns the events it was counted with, undefined if it is gone. */
export function deleteBatch(file: SqliteFile, seq: number): number | undefined {
  const row = file.sql('DELETE FROM batches WHERE seq = ? RETURNING events').get(seq)
  if (!row) return undefined
  const events = Number(row['events'])
  file.sql('DELETE FROM payloads WHERE seq = ?').run(seq)
  file
    .sql('UPDATE account SET waiting_batches = waiting_batches - 1, waiting_events = waiting_events - ?')
    .run(events)
  return events
}
