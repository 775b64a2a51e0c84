import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { UnavailableError } from '../errors.ts'

/** What a file can do to need less of the disk. */
export interface FileRoom {
  /** Pages that the file holds and does not use. */
  unusedBytes(): number
  emptyLog(): void
}

/**
 * Keeps publishing from filling a disk to its last byte, so that there is room left to write down what becomes of the
 * batches already stored: a full broker recovers by being consumed.
 */
export class DiskRoom {
  readonly #file: string
  readonly #freeMinBytes: number

  constructor(file: string, freeMinBytes: number) {
    this.#file = file
    this.#freeMinBytes = freeMinBytes
  }

  /**
   * Room for `bytes` in the write-ahead log, and again in the file, where all of the log is going to be copied.
   * @throws UnavailableError `broker_refuses_writes` when there is too little even after the log was emptied
   */
  require(bytes: number, file: FileRoom): void {
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

  #missing(bytes: number, file: FileRoom): number {
    const { bsize, bavail, blocks } = statfsSync(dirname(this.#file))
    const logBytes = statSync(`${this.#file}-wal`, { throwIfNoEntry: false })?.size ?? 0
    const kept = Math.min(this.#freeMinBytes, (bsize * blocks) / 10)
    const growth = Math.max(0, bytes - file.unusedBytes())
    return Math.ceil(kept + logBytes + bytes + growth - bsize * bavail)
  }
}
