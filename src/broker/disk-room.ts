import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { UnavailableError } from '../errors.ts'

/** The answer is good for so long: a file system is not asked for every batch. */
const GOOD_FOR_MS = 100

/**
 * Keeps publishing from filling a disk to its last byte, so that there is room left to write down what becomes of the
 * batches already stored: a full broker recovers by being consumed.
 */
export class DiskRoom {
  readonly #folder: string
  readonly #freeMinBytes: number
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #freeBytes = 0
  #neededBytes = 0

  constructor(file: string, freeMinBytes: number) {
    this.#folder = dirname(file)
    this.#freeMinBytes = freeMinBytes
  }

  /** @throws UnavailableError `broker_refuses_writes` when there is too little room to take more in */
  require(): void {
    if (performance.now() - this.#checkedAtMs > GOOD_FOR_MS) this.#look()
    if (this.#freeBytes >= this.#neededBytes) return
    throw new UnavailableError(
      'broker_refuses_writes',
      `disk of ${this.#folder} has ${this.#freeBytes} bytes left, publishing waits for ${this.#neededBytes}`,
    )
  }

  #look(): void {
    const { bsize, bavail, blocks } = statfsSync(this.#folder)
    this.#freeBytes = bsize * bavail
    this.#neededBytes = Math.min(this.#freeMinBytes, (bsize * blocks) / 10)
    this.#checkedAtMs = performance.now()
  }
}
