import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { UnavailableError, UsageError } from '../../errors.ts'
import type { RetryReason } from '../retry.ts'

/** Marks the file as ours ("nust" in ASCII), so that another program's database is never written to. */
const APPLICATION_ID = 0x6e757374
const SCHEMA_VERSION = 3
/** Upgrades from each version to the next. */
const UPGRADES: Readonly<Record<number, string>> = {
  1: 'ALTER TABLE batches ADD COLUMN traceparent TEXT; PRAGMA user_version = 2',
  2: `ALTER TABLE account ADD COLUMN stream_id TEXT;
      UPDATE account SET stream_id = lower(hex(randomblob(4))); PRAGMA user_version = 3`,
}
/** A checkpoint costs a pause, so there is one every 32 MB rather than SQLite's 4 MB (measured: 1.5 times as fast). */
const CHECKPOINT_PAGES = 8192
const WAL_BYTES_MAX = 64 * 1024 * 1024
/** How long a statement blocks the thread for another process's lock; beyond it the caller waits without blocking. */
const BUSY_MS = 20

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const BUSY = 5
const LOCKED = 6
const NOMEM = 7
const READONLY = 8
const IOERR = 10
const CORRUPT = 11
const FULL = 13
const CANTOPEN = 14
const NOTADB = 26

/**
 * Payloads are in a table of their own, because SQLite rewrites a whole row with every lease. The single row of `account`
 * is changed in the transactions that publish and settle, so it adds up after any crash.
 */
const SCHEMA = `
CREATE TABLE batches (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, batch_id TEXT NOT NULL,
  events INTEGER NOT NULL, emitted_at_ms INTEGER NOT NULL, published_at_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, visible_at_ms INTEGER NOT NULL DEFAULT 0,
  loan TEXT, consumer TEXT, session TEXT, traceparent TEXT);
CREATE INDEX batches_on_loan ON batches (visible_at_ms) WHERE loan IS NOT NULL;
CREATE TABLE payloads (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);
CREATE TABLE settled (batch_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX settled_at ON settled (at_ms);
CREATE TABLE predictions (
  cursor INTEGER PRIMARY KEY AUTOINCREMENT, partition INTEGER NOT NULL, batch_id TEXT NOT NULL,
  at_ms INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE INDEX predictions_by_partition ON predictions (partition, cursor);
CREATE TABLE readers (
  name TEXT NOT NULL, partition INTEGER NOT NULL, cursor INTEGER NOT NULL, called_at_ms INTEGER NOT NULL,
  PRIMARY KEY (name, partition)) WITHOUT ROWID;
CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT, batch_id TEXT NOT NULL, event_id TEXT, code TEXT NOT NULL,
  message TEXT NOT NULL, attempts INTEGER NOT NULL, events INTEGER NOT NULL, died_at_ms INTEGER NOT NULL,
  payload BLOB NOT NULL);
CREATE TABLE runs (
  run TEXT PRIMARY KEY, sequence INTEGER NOT NULL, resume TEXT NOT NULL, emitted INTEGER NOT NULL,
  done INTEGER NOT NULL, publisher TEXT NOT NULL, batch_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE account (
  only INTEGER PRIMARY KEY CHECK (only = 1), emitted INTEGER NOT NULL, predicted INTEGER NOT NULL,
  dead_lettered INTEGER NOT NULL, waiting_batches INTEGER NOT NULL, waiting_events INTEGER NOT NULL,
  stream_id TEXT);
INSERT INTO account VALUES (1, 0, 0, 0, 0, 0, lower(hex(randomblob(4))));
CREATE TABLE heartbeats (
  role TEXT NOT NULL, instance TEXT NOT NULL, beat_at_ms INTEGER NOT NULL, every_ms INTEGER NOT NULL, url TEXT,
  PRIMARY KEY (role, instance)) WITHOUT ROWID;
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`

/** One connection to the file, with its statements prepared once. Every call blocks the thread for about a millisecond. */
export class SqliteFile implements Disposable {
  readonly path: string
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #identity: string | undefined

  /**
   * Opens the file, creates it if it is missing, and sets WAL mode: what was committed survives SIGKILL.
   * @throws UsageError when the file cannot be used, saying why
   */
  constructor(path: string) {
    this.path = path
    try {
      mkdirSync(dirname(path), { recursive: true })
      this.#db = new DatabaseSync(path, { timeout: 10_000 })
    } catch (error) {
      throw this.explained(error)
    }
    try {
      this.#prepareFile()
      this.#identity = identityOf(path)
    } catch (error) {
      this.#db.close()
      throw this.explained(error)
    }
  }

  /** The prepared statement of this text. */
  sql(text: string): StatementSync {
    let statement = this.#statements.get(text)
    if (!statement) {
      statement = this.#db.prepare(text)
      this.#statements.set(text, statement)
    }
    return statement
  }

  /** Runs `work` as one transaction that holds the write lock from its start: all of it happens, or nothing. */
  transaction<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      // A full disk can have rolled back already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /**
   * A file that was deleted or replaced stays open, and everything written to it is lost. So each step checks after it
   * has written.
   * @throws UsageError `broker_file_missing`
   */
  requirePresent(): void {
    if (identityOf(this.path) === this.#identity) return
    throw new UsageError(
      'broker_file_missing',
      `broker file ${this.path} was deleted or replaced while it was in use; what it held is lost. Start every process of ` +
        'the stream again',
    )
  }

  /** The first number of the first row. */
  number(text: string, ...parameters: (string | number | null)[]): number {
    const row = this.sql(text).get(...parameters)
    return row === undefined ? 0 : Number(Object.values(row)[0])
  }

  /** Bytes of pages that are free for the next batches. */
  unusedBytes(): number {
    return this.number('PRAGMA freelist_count') * this.number('PRAGMA page_size')
  }

  /** Copies the write-ahead log into the file and truncates it, as far as other processes allow. */
  emptyLog(): void {
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  /** Returns up to `pages` unused pages to the file system. */
  vacuum(pages: number): void {
    this.#db.exec(`PRAGMA incremental_vacuum(${Math.trunc(pages)})`)
    // The file is truncated when the log is copied into it, which may take long when nothing else is written.
    this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)')
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** The error of a file that cannot be used at all as a UsageError with the remedy; any other error as it is. */
  explained(error: unknown): unknown {
    switch (resultCode(error)) {
      case NOTADB:
        return this.#unusable('is not an SQLite database; name another file, or move it away', error)
      case CORRUPT:
        return this.#unusable('is damaged; move it away, or repair it with `sqlite3 FILE .recover`', error)
      case CANTOPEN:
        return this.#unusable('cannot be opened; check that its folder exists and may be written to', error)
      case READONLY:
        return new UsageError(
          'broker_read_only',
          `broker file ${this.path} may not be written to; check its permissions and those of its folder`,
          { cause: error },
        )
      default:
        return isSystemError(error) ? this.#unusable(`cannot be made: ${error.message}`, error) : error
    }
  }

  #unusable(why: string, cause?: unknown): UsageError {
    return new UsageError('broker_url_invalid', `broker file ${this.path} ${why}`, { cause })
  }

  #prepareFile(): void {
    if (!this.#isNewOrOurs()) throw this.#unusable('belongs to another program; name another file')
    this.#db.exec('PRAGMA auto_vacuum = INCREMENTAL')
    this.#db.exec('PRAGMA journal_mode = WAL')
    this.#db.exec('PRAGMA synchronous = NORMAL')
    this.#db.exec('PRAGMA secure_delete = OFF')
    this.#db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    this.#db.exec(`PRAGMA journal_size_limit = ${WAL_BYTES_MAX}`)
    // Checked again while holding the lock: another process may have created the tables meanwhile.
    this.transaction(() => {
      if (this.#pragma('user_version') === 0) this.#db.exec(SCHEMA)
      for (let step = this.#upgrade(); step; step = this.#upgrade()) this.#db.exec(step)
    })
    const version = this.#pragma('user_version')
    if (version !== SCHEMA_VERSION) {
      throw this.#unusable(
        `has schema version ${version}, this nustream reads ${SCHEMA_VERSION}; name another file`,
      )
    }
    this.#db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`)
  }

  #upgrade(): string | undefined {
    return UPGRADES[this.#pragma('user_version')]
  }

  #isNewOrOurs(): boolean {
    if (this.#pragma('application_id') === APPLICATION_ID) return true
    const tables = this.#db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()
    return Number(tables?.['n']) === 0
  }

  #pragma(name: 'application_id' | 'user_version'): number {
    return Number(this.#db.prepare(`PRAGMA ${name}`).get()?.[name])
  }
}

/** Why trying again may help; undefined for an error that does not go away. */
export function retryReasonOf(error: unknown): RetryReason | undefined {
  if (error instanceof UnavailableError) return 'disk'
  switch (resultCode(error)) {
    case BUSY:
    case LOCKED:
      return 'busy'
    case NOMEM:
      return 'out_of_memory'
    case IOERR:
    case FULL:
      return 'disk'
    default:
      return undefined
  }
}

export function isDiskFull(error: unknown): boolean {
  const code = resultCode(error)
  return code === FULL || code === IOERR
}

/** True for another process's lock. */
export function isSqliteLock(error: unknown): boolean {
  const code = resultCode(error)
  return code === BUSY || code === LOCKED
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined
  return error.errcode & 0xff
}

/** Device and inode; undefined where no file has this path. */
function identityOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}

function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error
}
