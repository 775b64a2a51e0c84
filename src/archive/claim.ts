import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { tryLockFile } from '../broker/sqlite/lock.ts'

export interface ClaimOptions {
  readonly dir: string
  readonly stream: string
  readonly log: Logger
  /** Aborts: stand by only a moment longer, for the other one may be ending too and leave something to write. */
  readonly signal: AbortSignal
}

const LOOK_EVERY_MS = 500
const LAST_LOOKS_MS = 1_000

/**
 * The sole right to archive a stream into a folder, waited for while another process has it: of several consumers that
 * archive into one folder one writes, and when it is gone the next goes on. Undefined when stopped before its turn.
 */
export async function claimFolder({
  dir,
  stream,
  log,
  signal,
}: ClaimOptions): Promise<Disposable | undefined> {
  let stopAt = Number.POSITIVE_INFINITY
  for (let looks = 0; performance.now() < stopAt; looks++) {
    // Hidden, so that whoever reads the folder as a data set does not see it.
    const claim = lock(join(dir, `.archive-${stream}.lock`), log)
    if (claim) {
      if (looks > 0) log.info({ dir }, 'the other archive is gone, going on in its place')
      return claim
    }
    if (looks === 0) log.info({ dir }, 'another archive writes this stream into the folder, standing by')
    if (signal.aborted) stopAt = Math.min(stopAt, performance.now() + LAST_LOOKS_MS)
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => sleep(LOOK_EVERY_MS / 5))
  }
  return undefined
}

function lock(path: string, log: Logger): Disposable | undefined {
  try {
    return tryLockFile(path)
  } catch (error) {
    log.warn({ err: error, path }, 'folder cannot be locked; let no other archive write to it')
    return { [Symbol.dispose]: () => {} }
  }
}
