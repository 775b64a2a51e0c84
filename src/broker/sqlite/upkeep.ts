import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { UnavailableError } from '../../errors.ts'
import type { BrokerSettings } from '../options.ts'
import { NAME_KEPT_MS } from '../rules.ts'
import type { SqliteFile } from './file.ts'

/** Rows deleted in one transaction, so that nobody waits long for the lock. */
const ROWS_AT_ONCE = 1000
/** Unused pages that are kept for the next batches. More are returned to the file system, a few at a time. */
const UNUSED_PAGES_KEPT = 16_384
const PAGES_AT_ONCE = 2_048

/**
 * One round of trimming. Batches need none: a settled one is deleted, any other is kept. Only a consumer deletes predictions
 * and dead letters: the bounds of other roles may be different.
 */
export function trim(file: SqliteFile, settings: BrokerSettings, isConsumer: boolean): void {
  const nowMs = Date.now()
  if (isConsumer) {
    trimDeadLetters(file, settings)
    trimPredictions(file, settings, nowMs)
  }
  trimSettled(file, settings, nowMs)
  file.sql('DELETE FROM heartbeats WHERE beat_at_ms < ?').run(nowMs - NAME_KEPT_MS)
  const unused = file.number('PRAGMA freelist_count') - UNUSED_PAGES_KEPT
  if (unused > 0) file.vacuum(Math.min(unused, PAGES_AT_ONCE))
}

function trimPredictions(file: SqliteFile, settings: BrokerSettings, nowMs: number): void {
  file.sql('DELETE FROM readers WHERE called_at_ms < ?').run(nowMs - settings.idleMaxMs)
  for (let partition = 0; partition < settings.partitions; partition++) {
    // A reader that has taken nothing of a partition holds all of it.
    const held = file.number(
      `SELECT ifnull(min(ifnull(taken.cursor, 0)), 9e15) FROM (SELECT DISTINCT name FROM readers) AS reader
       LEFT JOIN readers AS taken ON taken.name = reader.name AND taken.partition = ?`,
      partition,
    )
    const beyond = file.number(
      'SELECT cursor FROM predictions WHERE partition = ? ORDER BY cursor DESC LIMIT 1 OFFSET ?',
      partition,
      settings.predictionsMax,
    )
    file
      .sql(
        `DELETE FROM predictions WHERE cursor IN (
           SELECT cursor FROM predictions
           WHERE partition = ? AND cursor <= ? AND cursor <= ? ORDER BY cursor LIMIT ${ROWS_AT_ONCE})`,
      )
      .run(partition, held, beyond)
  }
}

function trimDeadLetters(file: SqliteFile, { deadLettersMax, partitions, log }: BrokerSettings): void {
  const newestToDelete = file.number(
    'SELECT id FROM dead_letters ORDER BY id DESC LIMIT 1 OFFSET ?',
    deadLettersMax * partitions,
  )
  const deleted = file
    .sql(
      `DELETE FROM dead_letters WHERE id IN (
         SELECT id FROM dead_letters WHERE id <= ? ORDER BY id LIMIT ${ROWS_AT_ONCE})`,
    )
    .run(newestToDelete).changes
  if (Number(deleted) > 0)
    log?.warn({ deleted, deadLettersMax }, 'too many dead letters, the oldest are deleted')
}

function trimSettled(file: SqliteFile, settings: BrokerSettings, nowMs: number): void {
  const tooMany = file.number('SELECT count(*) FROM settled') - settings.settledMax
  file
    .sql(`DELETE FROM settled WHERE batch_id IN (SELECT batch_id FROM settled ORDER BY at_ms LIMIT ?)`)
    .run(Math.min(Math.max(tooMany, 0), ROWS_AT_ONCE))
  file
    .sql(
      `DELETE FROM settled WHERE batch_id IN (
         SELECT batch_id FROM settled WHERE at_ms < ? ORDER BY at_ms LIMIT ${ROWS_AT_ONCE})`,
    )
    .run(nowMs - settings.settledMaxAgeMs)
}

/**
 * Stops publishing before the disk is full, so that there is room to store the outcomes of the waiting batches: a full
 * broker recovers by being consumed.
 */
export class DiskRoom {
  readonly #file: string
  readonly #freeMinBytes: number

  constructor(file: string, freeMinBytes: number) {
    this.#file = file
    this.#freeMinBytes = freeMinBytes
  }

  /**
   * Requires room for `bytes` in the write-ahead log, and again in the file, into which the log is copied.
   * @throws UnavailableError `broker_refuses_writes` when there is too little even after the log was emptied
   */
  require(bytes: number, file: SqliteFile): void {
    if (this.#missing(bytes, file) <= 0) return
    file.emptyLog()
    const missing = this.#missing(bytes, file)
    if (missing <= 0) return
    const folder = dirname(this.#file)
    throw new UnavailableError(
      'broker_refuses_writes',
      `disk of ${folder} lacks ${missing} bytes to store more batches`,
    )
  }

  #missing(bytes: number, file: SqliteFile): number {
    const { bsize, bavail, blocks } = statfsSync(dirname(this.#file))
    const logBytes = statSync(`${this.#file}-wal`, { throwIfNoEntry: false })?.size ?? 0
    const kept = Math.min(this.#freeMinBytes, (bsize * blocks) / 10)
    const growth = Math.max(0, bytes - file.unusedBytes())
    return Math.ceil(kept + logBytes + bytes + growth - bsize * bavail)
  }
}
