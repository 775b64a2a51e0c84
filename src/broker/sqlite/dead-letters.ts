import { randomUUID } from 'node:crypto'
import type { DeadLetter, StoredDeadLetter } from '../contract.ts'
import { toErrorCode } from '../dead-letter-code.ts'
import { insertBatch } from './batches.ts'
import type { SqliteFile } from './file.ts'

/** Stores dead letters within the caller's transaction; returns how many events they stand for. */
export function insertDeadLetters(file: SqliteFile, letters: readonly DeadLetter[]): number {
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

/** Its events wait again instead of being dead: the account moves with them. */
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

/** The account keeps counting its events as dead. */
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
