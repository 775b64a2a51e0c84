import { access, constants, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { sleep } from '../async/deadline.ts'
import { tryLockFile } from '../broker/sqlite/lock.ts'
import { UsageError } from '../errors.ts'
import { makeFolders } from '../folders.ts'

/** Which predictions one file holds. */
export interface FileSpan {
  /** Id of the stream: cursors of another stream mean nothing here, and a folder may hold files of several. */
  readonly stream: string
  readonly partition: number
  /** Counts the files of a partition from 1. */
  readonly sequence: number
  /** Cursors of the first and the last prediction batch. */
  readonly first: string
  readonly last: string
}

/** Everything that is not whole yet has this in its name, the Parquet writer's own part files included. */
const UNFINISHED = '.parquet.writing'
const NAME = /^predictions-([0-9a-f]{8})-p(\d+)-(\d{8,})_([^_]+)_([^_]+)\.parquet$/

/** `predictions-7f3a9c12-p0-00000017_FIRST_LAST.parquet`; sorts by stream and partition, then in the order written. */
export function fileName({ stream, partition, sequence, first, last }: FileSpan): string {
  const number = String(sequence).padStart(8, '0')
  return `predictions-${stream}-p${partition}-${number}_${toName(first)}_${toName(last)}.parquet`
}

/** What the name of a file of the archive says it holds; undefined for other names. */
export function parseFileName(name: string): FileSpan | undefined {
  const match = NAME.exec(name)
  if (match === null) return undefined
  const [, stream, partition, sequence, first, last] = match
  return {
    stream,
    partition: Number(partition),
    sequence: Number(sequence),
    first: decodeURIComponent(first),
    last: decodeURIComponent(last),
  }
}

/** Cursors of the brokers need no change; of another broker any character may come. */
function toName(cursor: string): string {
  return encodeURIComponent(cursor).replaceAll('_', '%5F')
}

/**
 * Makes the folder where it is missing.
 * @throws UsageError `flag_invalid` where it cannot be a folder that we may write to
 */
export async function makeFolder(dir: string): Promise<void> {
  try {
    await makeFolders(dir)
    await access(dir, constants.W_OK)
  } catch (cause) {
    const message = `cannot write to the archive's folder ${dir}: ${cause instanceof Error ? cause.message : cause}`
    throw new UsageError('flag_invalid', `${message}; choose another with --out or --archive`, { cause })
  }
}

/**
 * The last file of each partition of a stream: what the folder already holds of it, and so where the archive continues
 * after any crash. Removes files of that stream that a killed archive had not finished.
 */
export async function lastFiles(dir: string, stream: string): Promise<Map<number, FileSpan>> {
  const last = new Map<number, FileSpan>()
  for (const name of await readdir(dir)) {
    if (name.startsWith(`predictions-${stream}-`) && name.includes(UNFINISHED))
      await rm(join(dir, name), { force: true })
    const span = parseFileName(name)
    if (span?.stream !== stream) continue
    const known = last.get(span.partition)
    if (known === undefined || span.sequence > known.sequence) last.set(span.partition, span)
  }
  return last
}

/**
 * Has `write` make a file under a temporary name, brings it safely to disk and gives it its own name, in this order: a
 * file with its own name is whole, whatever is killed or loses power.
 */
export async function placeFile(
  dir: string,
  span: FileSpan,
  write: (path: string) => Promise<void>,
): Promise<void> {
  const name = fileName(span)
  const temporary = join(dir, `${name}.writing`)
  try {
    await write(temporary)
    await flush(temporary)
    await rename(temporary, join(dir, name))
    await flush(dir)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
}

async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export interface ClaimOptions {
  readonly dir: string
  readonly stream: string
  readonly log: Logger
  /** Aborts: stand by only a moment longer, for the other one may be ending too and leave something to write. */
  readonly signal: AbortSignal
}

const LOOK_EVERY_MS = 500
const LAST_LOOKS_MS = 1_000
const LAST_LOOK_EVERY_MS = 100

/**
 * The sole right to archive a stream into a folder, waited for while another process has it: of several consumers that
 * archive into one folder one writes, and when it ends the next one takes over. Undefined when stopped before its turn.
 */
export async function claimFolder({
  dir,
  stream,
  log,
  signal,
}: ClaimOptions): Promise<Disposable | undefined> {
  let stopAt = Number.POSITIVE_INFINITY
  for (let looks = 0; performance.now() < stopAt; looks++) {
    // Hidden, so that programs that read the folder as a data set do not see it.
    const claim = lock(join(dir, `.archive-${stream}.lock`), log)
    if (claim) {
      if (looks > 0) log.info({ dir }, 'the other archive has ended, archiving in its place')
      return claim
    }
    if (looks === 0) log.info({ dir }, 'another archive writes this stream into the folder, standing by')
    if (signal.aborted) stopAt = Math.min(stopAt, performance.now() + LAST_LOOKS_MS)
    if (signal.aborted) await sleep(LAST_LOOK_EVERY_MS)
    else await sleep(LOOK_EVERY_MS, signal)
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
