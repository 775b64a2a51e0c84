/** The last so many ids are remembered at least, twice as many at most: a Kaggle file has 200,000 events. */
const IDS_MIN = 500_000

/**
 * Tells an event id that came before. While ids ascend, as in Kaggle's files, the highest is all that needs to be
 * known; the others are loaded when one first comes out of order.
 */
export class SeenIds {
  #highest: bigint | undefined
  #recent: Set<bigint> | undefined
  /** Those before `#recent`: forgetting a set as a whole is cheap, forgetting the oldest of one is not. */
  #older = new Set<bigint>()
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
    if (this.#recent) this.#add(id)
    return false
  }

  async #find(id: bigint, row: number): Promise<boolean> {
    if (!this.#recent) {
      this.#recent = new Set()
      for await (const before of this.#load(row)) this.#add(before)
    }
    if (this.#recent.has(id) || this.#older.has(id)) return true
    this.#add(id)
    return false
  }

  #add(id: bigint): void {
    if (!this.#recent || this.#recent.size >= IDS_MIN) {
      this.#older = this.#recent ?? this.#older
      this.#recent = new Set()
    }
    this.#recent.add(id)
  }
}
