import type { BatchMessage, DeadLetter, RunPosition } from '../contract.ts'
import { checkRunStep } from '../run-taken.ts'
import { insertBatch } from './batches.ts'
import { insertDeadLetters } from './dead-letters.ts'
import type { SqliteFile } from './file.ts'

export interface Publication {
  readonly message: BatchMessage | undefined
  readonly partition: number
  readonly position: RunPosition | undefined
  readonly deadLetters: readonly DeadLetter[]
  /** This broker instance, and whether it has published in the run before. */
  readonly publisher: string
  readonly hasPublished: boolean
}

/** Stores batch, dead letters, position and account, or nothing if the step is a repeat. */
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
