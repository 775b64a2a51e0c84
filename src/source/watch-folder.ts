import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { compareNatural } from './natural-order.ts'
import { fingerprintWhole } from './whole-file.ts'

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

/** Looks at a folder again and again and tells which Parquet files are whole, and which will never be. */
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
