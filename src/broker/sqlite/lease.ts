import { randomUUID } from 'node:crypto'
import type { Delivery } from '../contract.ts'
import type { SqliteFile } from './file.ts'

export interface Borrower {
  readonly consumer: string
  /** The broker instance: a loan of the same consumer from another session belongs to its former life. */
  readonly session: string
  readonly visibilityMs: number
}

/** What may be lent: what nobody holds, what nobody has renewed, and what this consumer held in a former life. */
const FREE = 'visible_at_ms <= ? OR (consumer = ? AND session <> ?)'

/** Lends the oldest batch that is free, or undefined when there is none. */
export function claim(file: SqliteFile, borrower: Borrower): Delivery | undefined {
  const { consumer, session, visibilityMs } = borrower
  const nowMs = Date.now()
  // Looked up without the write lock first, so that a waiting consumer disturbs nobody.
  const oldest = `SELECT seq FROM batches WHERE ${FREE} ORDER BY seq LIMIT 1`
  if (!file.sql(oldest).get(nowMs, consumer, session)) return undefined
  const loan = randomUUID()
  const row = file
    .sql(
      `UPDATE batches SET attempts = attempts + 1, visible_at_ms = ?, loan = ?, consumer = ?, session = ?
       WHERE seq = (${oldest})
       RETURNING seq, partition, batch_id, events, emitted_at_ms, attempts, traceparent`,
    )
    .get(nowMs + visibilityMs, loan, consumer, session, nowMs, consumer, session)
  if (!row) return undefined
  const payload = file.sql('SELECT payload FROM payloads WHERE seq = ?').get(row['seq'])?.['payload']
  return {
    deliveryId: `${row['seq']}/${loan}`,
    partition: Number(row['partition']),
    batchId: String(row['batch_id']),
    payload: payload instanceof Uint8Array ? payload : new Uint8Array(),
    events: Number(row['events']),
    emittedAtMs: Number(row['emitted_at_ms']),
    attempt: Number(row['attempts']),
    ...(typeof row['traceparent'] === 'string' && { traceparent: row['traceparent'] }),
  }
}

/** Keeps loans for another `visibilityMs`; returns those that are no longer this borrower's. */
export function renew(file: SqliteFile, deliveryIds: readonly string[], visibilityMs: number): string[] {
  const untilMs = Date.now() + visibilityMs
  return file.transaction(() =>
    deliveryIds.filter((id) => {
      const { seq, loan } = toLoan(id)
      const statement = file.sql('UPDATE batches SET visible_at_ms = ? WHERE seq = ? AND loan = ?')
      return statement.run(untilMs, seq, loan).changes === 0
    }),
  )
}

/** Gives a loan back as if it had never been lent; does nothing if it has gone to another. */
export function release(file: SqliteFile, deliveryId: string): void {
  const { seq, loan } = toLoan(deliveryId)
  file
    .sql(
      `UPDATE batches SET attempts = attempts - 1, visible_at_ms = 0, loan = NULL, consumer = NULL, session = NULL
       WHERE seq = ? AND loan = ?`,
    )
    .run(seq, loan)
}

/** The row and the loan that a delivery id of this file names. */
export function toLoan(deliveryId: string): { readonly seq: number; readonly loan: string } {
  const [seq = '', loan = ''] = deliveryId.split('/')
  return { seq: Number(seq), loan }
}
