import { NAME_KEPT_MS } from '../heartbeat-life.ts'
import type { BrokerSettings } from '../options.ts'
import type { SqliteFile } from './file.ts'

/** Rows deleted in one transaction, so that nobody waits long for the lock. */
const ROWS_AT_ONCE = 1000
/** Unused pages that are kept for the batches to come; what is beyond goes back to the file system, a little at a time. */
const UNUSED_PAGES_KEPT = 16_384
const PAGES_AT_ONCE = 2_048

/**
 * One round of trimming. Batches need none: a settled one is deleted, any other is kept. Predictions and dead letters are
 * let go only by who consumes: an emitter or onlooker with other settings takes none from anybody.
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
  const tooOldMs = settings.predictionsMaxAgeMs === undefined ? 0 : nowMs - settings.predictionsMaxAgeMs
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
           WHERE partition = ? AND cursor <= ? AND (cursor <= ? OR at_ms < ?) ORDER BY cursor LIMIT ${ROWS_AT_ONCE})`,
      )
      .run(partition, held, beyond, tooOldMs)
  }
}

function trimDeadLetters(file: SqliteFile, { deadLettersMax, partitions, log }: BrokerSettings): void {
  const newestToGo = file.number(
    'SELECT id FROM dead_letters ORDER BY id DESC LIMIT 1 OFFSET ?',
    deadLettersMax * partitions,
  )
  const gone = file
    .sql(
      `DELETE FROM dead_letters WHERE id IN (
         SELECT id FROM dead_letters WHERE id <= ? ORDER BY id LIMIT ${ROWS_AT_ONCE})`,
    )
    .run(newestToGo).changes
  if (Number(gone) > 0) log?.warn({ gone, deadLettersMax }, 'too many dead letters, the oldest are let go')
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
