const BLOCK_BYTES_MIN = 65_536
/** Larger blocks, for events of very many pulses, are not kept. */
const BLOCK_BYTES_KEPT = 4_194_304

/**
 * Blocks of shared memory that are used again. A fresh block for each job costs more than everything else that the main
 * thread does for it: its pages are cleared, touched for the first time, and later collected.
 */
export class Blocks {
  readonly #free: SharedArrayBuffer[] = []
  readonly #keptMax: number

  constructor(keptMax: number) {
    this.#keptMax = keptMax
  }

  /** A block of at least so many bytes, with whatever it held before. */
  take(bytes: number): SharedArrayBuffer {
    const index = this.#free.findIndex(({ byteLength }) => byteLength >= bytes)
    if (index >= 0) return this.#free.splice(index, 1)[0]
    return new SharedArrayBuffer(Math.max(BLOCK_BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes))))
  }

  /** Only for a block that no thread reads or writes any more. */
  giveBack(block: SharedArrayBuffer): void {
    if (block.byteLength > BLOCK_BYTES_KEPT) return
    if (this.#free.length >= this.#keptMax) this.#free.shift()
    this.#free.push(block)
  }
}
