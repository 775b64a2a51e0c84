import { DatabaseSync } from 'node:sqlite'
import { isSqliteLock } from './file.ts'

/**
 * Locks an empty file, created where it is missing, until the lock is disposed of or the process ends. Undefined where
 * another holds it. SQLite uses the locks of the operating system, which Node does not offer.
 * @throws Error where the file cannot be created, or its file system has no locks
 */
export function tryLockFile(path: string): Disposable | undefined {
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    // Nothing is ever written, not even a journal, so a full disk does not matter.
    db.exec('PRAGMA journal_mode = MEMORY')
    db.exec('BEGIN EXCLUSIVE')
    return { [Symbol.dispose]: () => db.close() }
  } catch (error) {
    db.close()
    if (isSqliteLock(error)) return undefined
    throw error
  }
}
