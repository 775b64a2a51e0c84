/** Ids remembered at most: five times the events of a Kaggle file. Beyond it the oldest are forgotten. */
const IDS_MAX = 1_000_000

/**
 * Tells an event id that came before. While ids ascend, as in Kaggle's files, the highest is all that needs to be
 * known; the others are loaded when one first comes out of order.
 */
export class SeenIds {
  #highest: bigint | undefined
  #ids: Set<bigint> | undefined
  readonly #load: (toRow: number) => AsyncIterable<bigint>

  /** `load` gives the ids before a row of the file; `highest` is the highest of those read so far. */
  constructor(load: (toRow: number) => AsyncIterable<bigint>, highest: bigint | undefined) {
    this.#load = load
    this.#highest = highest
  }

  get highest(): bigint | undefined {
    return this.#highest
  }

  /** Whether the id, which begins at `row`, came in a row before; it counts as seen from now on. */
  isRepeat(id: bigint, row: number): boolean | Promise<boolean> {
    if (this.#highest !== undefined && id <= this.#highest) return this.#find(id, row)
    this.#highest = id
    if (this.#ids) this.#add(this.#ids, id)
    return false
  }

  async #find(id: bigint, row: number): Promise<boolean> {
    if (!this.#ids) {
      const ids = new Set<bigint>()
      for await (const before of this.#load(row)) this.#add(ids, before)
      this.#ids = ids
    }
    if (this.#ids.has(id)) return true
    this.#add(this.#ids, id)
    return false
  }

  #add(ids: Set<bigint>, id: bigint): void {
    ids.add(id)
    if (ids.size <= IDS_MAX) return
    for (const oldest of ids) {
      ids.delete(oldest)
      break
    }
  }
}
