import { createHash } from 'node:crypto'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { compareNatural } from './source.ts'

export interface FolderTimes {
  /** A file is whole when its footer is there and nothing has changed for so long. */
  readonly settleMs: number
  /** A file without footer that has not changed for so long is broken. */
  readonly brokenAfterMs: number
}

export interface WatchedFile {
  readonly name: string
  readonly path: string
  readonly print: string
}

interface Look {
  /** Changes when the file does. */
  readonly version: string
  readonly mtimeMs: number
  /** When it was first seen like this, by this machine's steady clock. */
  readonly sinceMs: number
  print: string | undefined
  isBroken: boolean
}

export interface FolderScan {
  /** Whole files, oldest first. */
  readonly whole: readonly WatchedFile[]
  /** Names of files that turned out broken since the last scan. */
  readonly broken: readonly string[]
}

/** Polls a folder and tells which Parquet files are complete and which are broken. */
export class WatchFolder {
  readonly folder: string
  readonly #times: FolderTimes
  #looks = new Map<string, Look>()

  constructor(folder: string, times: FolderTimes) {
    this.folder = folder
    this.#times = times
  }

  /** @throws the file system's error when the folder cannot be listed */
  async scan(): Promise<FolderScan> {
    const nowMs = performance.now()
    const names = (await readdir(this.folder)).filter(isParquetName)
    const looks = new Map<string, Look>()
    for (const name of names) {
      const look = await this.#look(name, nowMs).catch(() => undefined)
      if (look) looks.set(name, look)
    }
    this.#looks = looks
    const broken: string[] = []
    const whole: (WatchedFile & { mtimeMs: number })[] = []
    for (const [name, look] of looks) {
      const quietMs = Math.max(nowMs - look.sinceMs, Date.now() - look.mtimeMs)
      if (look.isBroken || quietMs < this.#times.settleMs) continue
      look.print ??= await fingerprintWhole(join(this.folder, name), name).catch(() => undefined)
      if (look.print) {
        whole.push({ name, path: join(this.folder, name), print: look.print, mtimeMs: look.mtimeMs })
      } else if (nowMs - look.sinceMs >= this.#times.brokenAfterMs) {
        look.isBroken = true
        broken.push(name)
      }
    }
    whole.sort((a, b) => a.mtimeMs - b.mtimeMs || compareNatural(a.name, b.name))
    return { whole, broken }
  }

  /** Whether the file is what the scan has found: reading the files before it may have taken hours. */
  async isStill({ path, name, print }: WatchedFile): Promise<boolean> {
    return (await fingerprintWhole(path, name).catch(() => undefined)) === print
  }

  /** The file cannot be read; it is left alone until it changes. */
  setBroken(name: string): void {
    const look = this.#looks.get(name)
    if (look) look.isBroken = true
  }

  async #look(name: string, nowMs: number): Promise<Look | undefined> {
    const found = await stat(join(this.folder, name), { bigint: true })
    if (!found.isFile()) return undefined
    const version = `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`
    const before = this.#looks.get(name)
    if (before?.version === version) return before
    return { version, mtimeMs: Number(found.mtimeMs), sinceMs: nowMs, print: undefined, isBroken: false }
  }
}

/** Names that programs give to files they are still writing begin with a dot or an underscore, or end otherwise. */
function isParquetName(name: string): boolean {
  return /^[^._].*\.(parquet|parq|pq)$/i.test(name)
}

const MAGIC = 'PAR1'
const FOOTER_BYTES_MAX = 1_048_576
const SAMPLES = 64
const SAMPLE_BYTES = 4096

/**
 * What tells a Parquet file from all others of a folder: a digest of its name, its size, its footer, which is written
 * last and says where everything else is, and 64 samples of 4 kB of its data, because files without statistics and
 * compression may share their footers. Undefined while the file is not whole. A touched file keeps its fingerprint; one
 * that was written anew has another.
 */
export async function fingerprintWhole(path: string, name: string): Promise<string | undefined> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size < 12 || (await readAt(file, 0, 4)).toString('latin1') !== MAGIC) return undefined
    const end = await readAt(file, size - 8, 8)
    const footerBytes = end.readUInt32LE(0)
    if (end.toString('latin1', 4) !== MAGIC || footerBytes > size - 12) return undefined
    const length = Math.min(footerBytes + 8, FOOTER_BYTES_MAX)
    const footer = await readAt(file, size - length, length)
    const digest = createHash('sha256').update(`${name}\0${size}\0`).update(footer)
    const stride = Math.max(SAMPLE_BYTES, Math.floor(size / SAMPLES))
    for (let at = 0; at < size; at += stride) digest.update(await readAt(file, at, SAMPLE_BYTES))
    return digest.digest('base64url').slice(0, 12)
  } finally {
    await file.close()
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}
