import { randomUUID } from 'node:crypto'
import type {
  BatchMessage,
  DeadLetter,
  Delivery,
  RunPosition,
  Settlement,
  SettleResult,
  StoredDeadLetter,
} from '../contract.ts'
import { checkRunStep, toErrorCode } from '../rules.ts'
import type { SqliteFile } from './file.ts'

/* The steps of a batch: published, leased, settled or split; and its dead letters. Each step is one transaction. */

export interface Publication {
  readonly message: BatchMessage | undefined
  readonly partition: number
  readonly position: RunPosition | undefined
  readonly deadLetters: readonly DeadLetter[]
  /** This broker instance, and whether it has published in the run before. */
  readonly publisher: string
  readonly hasPublished: boolean
}

/** Stores batch, dead letters, position and counts, or nothing if the step is a repeat. */
export function publish(file: SqliteFile, publication: Publication): 'stored' | 'repeat' {
  const { message, position, deadLetters } = publication
  return file.transaction(() => {
    if (isRepeat(file, publication)) return 'repeat'
    const rejected = insertDeadLetters(file, deadLetters)
    if (message) insertBatch(file, message, publication.partition)
    if (position) storePosition(file, position, publication)
    file
      .sql(`UPDATE account SET emitted = emitted + ?, dead_lettered = dead_lettered + ?`)
      .run((message?.events ?? 0) + rejected, rejected)
    return 'stored'
  })
}

export function readPosition(file: SqliteFile, run: string): RunPosition | undefined {
  const row = file.sql('SELECT sequence, resume, emitted, done FROM runs WHERE run = ?').get(run)
  if (!row) return undefined
  return {
    run,
    sequence: Number(row['sequence']),
    resume: String(row['resume']),
    emitted: Number(row['emitted']),
    done: row['done'] === 1,
  }
}

function isRepeat(file: SqliteFile, { message, position, publisher, hasPublished }: Publication): boolean {
  if (!position) {
    return (
      message !== undefined && file.number('SELECT 1 FROM settled WHERE batch_id = ?', message.batchId) === 1
    )
  }
  const row = file.sql('SELECT sequence, publisher, batch_id FROM runs WHERE run = ?').get(position.run)
  const stored = row && {
    sequence: Number(row['sequence']),
    publisher: String(row['publisher']),
    batchId: String(row['batch_id']),
  }
  const { run, sequence } = position
  const step = { run, sequence, publisher, batchId: message?.batchId ?? '', hasPublished }
  return checkRunStep(stored, step) === 'repeat'
}

function storePosition(file: SqliteFile, position: RunPosition, { publisher, message }: Publication): void {
  file
    .sql(
      `INSERT OR REPLACE INTO runs (run, sequence, resume, emitted, done, publisher, batch_id)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(
      position.run,
      position.sequence,
      position.resume,
      position.emitted,
      position.done ? 1 : 0,
      publisher,
      message?.batchId ?? '',
    )
}

export interface Lessee {
  readonly consumer: string
  /** The broker instance. A lease of the same consumer from another session is from before it was restarted. */
  readonly session: string
  readonly visibilityMs: number
}

/** What may be leased: what is not leased or was not renewed, and what this consumer held before it was restarted. */
const FREE = 'visible_at_ms <= ? OR (consumer = ? AND session <> ?)'

/** Leases the oldest batch that is free; undefined when there is none. */
export function claim(file: SqliteFile, lessee: Lessee): Delivery | undefined {
  const { consumer, session, visibilityMs } = lessee
  const nowMs = Date.now()
  // Looked up without the write lock first, so that a waiting consumer blocks nobody.
  const oldest = `SELECT seq FROM batches WHERE ${FREE} ORDER BY seq LIMIT 1`
  if (!file.sql(oldest).get(nowMs, consumer, session)) return undefined
  const lease = randomUUID()
  const row = file
    .sql(
      `UPDATE batches SET attempts = attempts + 1, visible_at_ms = ?, loan = ?, consumer = ?, session = ?
       WHERE seq = (${oldest})
       RETURNING seq, partition, batch_id, events, emitted_at_ms, attempts, traceparent`,
    )
    .get(nowMs + visibilityMs, lease, consumer, session, nowMs, consumer, session)
  if (!row) return undefined
  const payload = file.sql('SELECT payload FROM payloads WHERE seq = ?').get(row['seq'])?.['payload']
  return {
    deliveryId: `${row['seq']}/${lease}`,
    partition: Number(row['partition']),
    batchId: String(row['batch_id']),
    payload: payload instanceof Uint8Array ? payload : new Uint8Array(),
    events: Number(row['events']),
    emittedAtMs: Number(row['emitted_at_ms']),
    attempt: Number(row['attempts']),
    ...(typeof row['traceparent'] === 'string' && { traceparent: row['traceparent'] }),
  }
}

/** Renews leases for another `visibilityMs`; returns those that have gone to another. */
export function renew(file: SqliteFile, deliveryIds: readonly string[], visibilityMs: number): string[] {
  const untilMs = Date.now() + visibilityMs
  return file.transaction(() =>
    deliveryIds.filter((id) => {
      const { seq, lease } = toLease(id)
      const statement = file.sql('UPDATE batches SET visible_at_ms = ? WHERE seq = ? AND loan = ?')
      return statement.run(untilMs, seq, lease).changes === 0
    }),
  )
}

/** Ends a lease as if it had never been; does nothing if it has gone to another. */
export function release(file: SqliteFile, deliveryId: string): void {
  const { seq, lease } = toLease(deliveryId)
  file
    .sql(
      `UPDATE batches SET attempts = attempts - 1, visible_at_ms = 0, loan = NULL, consumer = NULL, session = NULL
       WHERE seq = ? AND loan = ?`,
    )
    .run(seq, lease)
}

/** The row and the lease that a delivery id names. */
function toLease(deliveryId: string): { readonly seq: number; readonly lease: string } {
  const [seq = '', lease = ''] = deliveryId.split('/')
  return { seq: Number(seq), lease }
}

/** Stores the outcome of a delivery and deletes its batch; nothing is stored for a batch id that was settled before. */
export function settle(file: SqliteFile, delivery: Delivery, settlement: Settlement): SettleResult {
  return once(file, delivery, () => {
    const { predictions, predicted, deadLetters } = settlement
    if (predictions) {
      file
        .sql('INSERT INTO predictions (partition, batch_id, at_ms, payload) VALUES (?, ?, ?, ?)')
        .run(delivery.partition, delivery.batchId, Date.now(), predictions)
    }
    const dead = insertDeadLetters(file, deadLetters)
    file
      .sql('UPDATE account SET predicted = predicted + ?, dead_lettered = dead_lettered + ?')
      .run(predicted, dead)
    return predicted + dead
  })
}

/** Replaces the delivery by its parts at the end of the stream. */
export function split(file: SqliteFile, delivery: Delivery, parts: readonly BatchMessage[]): SettleResult {
  return once(file, delivery, () => {
    for (const part of parts) insertBatch(file, part, delivery.partition)
    return parts.reduce((events, part) => events + part.events, 0)
  })
}

/**
 * Runs `store` if the batch id was not settled before, and deletes the batch in any case. `store` returns the events that it
 * stored: where the producer had said otherwise, or the batch was published twice, `emitted` is corrected.
 */
function once(file: SqliteFile, delivery: Delivery, store: () => number): SettleResult {
  return file.transaction(() => {
    const isFirst =
      file
        .sql('INSERT INTO settled (batch_id, at_ms) VALUES (?, ?) ON CONFLICT DO NOTHING')
        .run(delivery.batchId, Date.now()).changes === 1
    const stored = isFirst ? store() : 0
    const counted = deleteBatch(file, toLease(delivery.deliveryId).seq)
    if (isFirst || counted !== undefined) {
      file.sql('UPDATE account SET emitted = emitted + ?').run(stored - (counted ?? delivery.events))
    }
    return isFirst ? 'settled' : 'repeat'
  })
}

/** Adds a batch at the end of the stream, within the caller's transaction. */
function insertBatch(file: SqliteFile, message: BatchMessage, partition: number): void {
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

/** Deletes a batch within the caller's transaction; returns the events it was counted with, undefined if it is gone. */
function deleteBatch(file: SqliteFile, seq: number): number | undefined {
  const row = file.sql('DELETE FROM batches WHERE seq = ? RETURNING events').get(seq)
  if (!row) return undefined
  const events = Number(row['events'])
  file.sql('DELETE FROM payloads WHERE seq = ?').run(seq)
  file
    .sql('UPDATE account SET waiting_batches = waiting_batches - 1, waiting_events = waiting_events - ?')
    .run(events)
  return events
}

/** Stores dead letters within the caller's transaction; returns how many events they stand for. */
function insertDeadLetters(file: SqliteFile, letters: readonly DeadLetter[]): number {
  for (const letter of letters) {
    file
      .sql(
        `INSERT INTO dead_letters (batch_id, event_id, code, message, attempts, events, died_at_ms, payload)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        letter.batchId,
        letter.eventId?.toString() ?? null,
        letter.code,
        letter.message,
        letter.attempts,
        letter.events,
        Math.round(letter.diedAtMs),
        letter.payload,
      )
  }
  return letters.reduce((events, letter) => events + letter.events, 0)
}

/** The newest first. */
export function listDeadLetters(file: SqliteFile, limit: number): StoredDeadLetter[] {
  return file.sql('SELECT * FROM dead_letters ORDER BY id DESC LIMIT ?').all(limit).map(toDeadLetter)
}

export function readDeadLetter(file: SqliteFile, id: string): StoredDeadLetter | undefined {
  const row = file.sql('SELECT * FROM dead_letters WHERE id = ?').get(id)
  return row && toDeadLetter(row)
}

/** Publishes the payload again. Its events wait again, so they no longer count as dead-lettered. */
export function replayDeadLetter(file: SqliteFile, id: string, partition: number): boolean {
  return file.transaction(() => {
    const letter = readDeadLetter(file, id)
    if (!letter) return false
    const { batchId, payload, events } = letter
    const replayId = `${batchId}/replay-${randomUUID()}`
    insertBatch(file, { batchId: replayId, payload, events, emittedAtMs: Date.now() }, partition)
    file.sql('UPDATE account SET dead_lettered = dead_lettered - ?').run(events)
    return dropDeadLetter(file, id)
  })
}

/** The totals still count its events as dead-lettered. */
export function dropDeadLetter(file: SqliteFile, id: string): boolean {
  return file.sql('DELETE FROM dead_letters WHERE id = ?').run(id).changes === 1
}

function toDeadLetter(row: Record<string, unknown>): StoredDeadLetter {
  const { event_id: eventId, payload } = row
  return {
    id: String(row['id']),
    batchId: String(row['batch_id']),
    eventId: typeof eventId === 'string' ? BigInt(eventId) : undefined,
    code: toErrorCode(row['code']),
    message: String(row['message']),
    attempts: Number(row['attempts']),
    events: Number(row['events']),
    diedAtMs: Number(row['died_at_ms']),
    payload: payload instanceof Uint8Array ? payload : new Uint8Array(),
  }
}
