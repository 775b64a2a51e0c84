import type {
  Backlog,
  BatchMessage,
  Heartbeat,
  PredictionsOptions,
  StoredPredictions,
  Totals,
} from '../contract.ts'
import { isAlive } from '../rules.ts'
import type { SqliteFile } from './file.ts'

/** Rows read at once: a payload is about ten kilobytes. */
const ROWS_AT_ONCE = 16

/** The next predictions of a partition after a cursor. */
export function readPredictions(file: SqliteFile, partition: number, after: number): StoredPredictions[] {
  return file
    .sql(
      `SELECT cursor, batch_id, payload FROM predictions WHERE partition = ? AND cursor > ?
       ORDER BY cursor LIMIT ${ROWS_AT_ONCE}`,
    )
    .all(partition, after)
    .map(({ cursor, batch_id: batchId, payload }) => ({
      cursor: String(cursor),
      partition,
      batchId: String(batchId),
      payload: payload instanceof Uint8Array ? payload : new Uint8Array(),
    }))
}

/**
 * The cursor after which a reader starts in a partition. A cursor above all of this file comes from a file that was here
 * before; the reader then starts at the oldest prediction.
 */
export function startCursor(
  file: SqliteFile,
  partition: number,
  { after, live, last }: PredictionsOptions,
): number {
  const newest = file.number(`SELECT seq FROM sqlite_sequence WHERE name = 'predictions'`)
  if (live) return newest
  if (last !== undefined) {
    return file.number(
      'SELECT cursor FROM predictions WHERE partition = ? ORDER BY cursor DESC LIMIT 1 OFFSET ?',
      partition,
      last,
    )
  }
  const cursor = Number(after?.get(partition) ?? 0)
  return cursor <= newest ? cursor : 0
}

export interface NewestBatch {
  readonly seq: number
  readonly message: BatchMessage
}

/** The newest batch that waits, unless it is the one with number `seen`. */
export function readNewestBatch(file: SqliteFile, seen: number): NewestBatch | undefined {
  const newest = file.number('SELECT seq FROM batches ORDER BY seq DESC LIMIT 1')
  if (newest === 0 || newest === seen) return undefined
  const row = file
    .sql('SELECT batch_id, events, emitted_at_ms, payload FROM batches NATURAL JOIN payloads WHERE seq = ?')
    .get(newest)
  if (!row) return undefined
  const { batch_id: batchId, events, emitted_at_ms: emittedAtMs, payload } = row
  return {
    seq: newest,
    message: {
      batchId: String(batchId),
      events: Number(events),
      emittedAtMs: Number(emittedAtMs),
      payload: payload instanceof Uint8Array ? payload : new Uint8Array(),
    },
  }
}

export function holdPredictions(file: SqliteFile, reader: string, taken: ReadonlyMap<number, string>): void {
  const nowMs = Date.now()
  file.transaction(() => {
    file.sql('UPDATE readers SET called_at_ms = ? WHERE name = ?').run(nowMs, reader)
    // A reader that has taken nothing yet has an entry for partition 0 only, and holds everything.
    const entries = taken.size > 0 ? [...taken] : ([[0, '0']] as const)
    for (const [partition, cursor] of entries) {
      file
        .sql('INSERT OR REPLACE INTO readers (name, partition, cursor, called_at_ms) VALUES (?, ?, ?, ?)')
        .run(reader, partition, Number(cursor), nowMs)
    }
  })
}

export function readBacklog(file: SqliteFile): Backlog {
  const nowMs = Date.now()
  const batches = file.number('SELECT waiting_batches FROM account')
  const leased = file.number(
    'SELECT count(*) FROM batches WHERE loan IS NOT NULL AND visible_at_ms > ?',
    nowMs,
  )
  const oldestMs = file.number('SELECT published_at_ms FROM batches ORDER BY seq LIMIT 1')
  return {
    unreadBatches: Math.max(0, batches - leased),
    leasedBatches: leased,
    events: file.number('SELECT waiting_events FROM account'),
    oldestAgeMs: oldestMs === 0 ? 0 : Math.max(0, nowMs - oldestMs),
  }
}

export function readTotals(file: SqliteFile): Totals {
  const row = file.sql('SELECT emitted, predicted, dead_lettered FROM account').get()
  return {
    emitted: Number(row?.['emitted']),
    predicted: Number(row?.['predicted']),
    deadLettered: Number(row?.['dead_lettered']),
  }
}

export function readStreamId(file: SqliteFile): string {
  return String(file.sql('SELECT stream_id FROM account').get()?.['stream_id'])
}

export function storeBeat(file: SqliteFile, beat: Omit<Heartbeat, 'alive' | 'beatAtMs'>): void {
  file
    .sql(
      'INSERT OR REPLACE INTO heartbeats (role, instance, beat_at_ms, every_ms, url) VALUES (?, ?, ?, ?, ?)',
    )
    .run(beat.role, beat.instance, Date.now(), Math.round(beat.everyMs), beat.url ?? null)
}

export function dropBeat(file: SqliteFile, { role, instance }: Pick<Heartbeat, 'role' | 'instance'>): void {
  file.sql('DELETE FROM heartbeats WHERE role = ? AND instance = ?').run(role, instance)
}

export function readHeartbeats(file: SqliteFile): Heartbeat[] {
  return file
    .sql('SELECT * FROM heartbeats ORDER BY role, instance')
    .all()
    .map((row) => {
      const beatAtMs = Number(row['beat_at_ms'])
      const everyMs = Number(row['every_ms'])
      const url = typeof row['url'] === 'string' ? row['url'] : undefined
      const alive = isAlive(Date.now() - beatAtMs, everyMs)
      return { role: String(row['role']), instance: String(row['instance']), beatAtMs, everyMs, url, alive }
    })
}
