/** Photo-electrons of one event at most. Real events stop at 178,250 pulses; what is beyond is not recorded. */
const PHOTONS_MAX = 2 ** 18
/** Times are kept to 1/64 ns and must lie within ±2^20 ns, so that time and index share one exact double. */
const TICKS_PER_NS = 64
const EARLIEST_NS = -(2 ** 20)

/** Photo-electrons of one event, of light and of noise: columns that are used again for every event. */
export class Photons {
  count = 0
  readonly sensors: Uint16Array = new Uint16Array(PHOTONS_MAX)
  /** ns on the interaction's clock, in steps of 1/64 ns. */
  readonly times: Float64Array = new Float64Array(PHOTONS_MAX)
  /** Photo-electrons: above 1 where one entry stands for several. */
  readonly charges: Float64Array = new Float64Array(PHOTONS_MAX)
  /** Rows in order of time, after `sort`. */
  readonly order: Int32Array = new Int32Array(PHOTONS_MAX)
  /** Times and rows as one number each: those of the first `#sorted` rows in order, and room for the rest. */
  readonly #keys: Float64Array = new Float64Array(PHOTONS_MAX)
  readonly #fresh: Float64Array = new Float64Array(PHOTONS_MAX)
  #sorted = 0

  clear(): void {
    this.count = 0
    this.#sorted = 0
  }

  /** Forgets all but the first `count` entries. */
  truncate(count: number): void {
    this.count = count
    this.#sorted = 0
  }

  add(sensor: number, timeNs: number, charge: number): void {
    if (this.count === PHOTONS_MAX) return
    this.sensors[this.count] = sensor
    // On the grid that `sort` sees: what it takes for simultaneous is.
    this.times[this.count] = Math.floor(timeNs * TICKS_PER_NS) / TICKS_PER_NS
    this.charges[this.count] = charge
    this.count++
  }

  /** Fills `order`; entries of equal time keep the order they were added in. What was sorted before is only merged. */
  sort(): void {
    const { count, times, order } = this
    const fresh = this.#fresh
    const added = count - this.#sorted
    for (let i = 0; i < added; i++) {
      const row = this.#sorted + i
      fresh[i] = (times[row] - EARLIEST_NS) * TICKS_PER_NS * PHOTONS_MAX + row
    }
    // A numeric sort of typed arrays takes no comparator and is several times faster than one that does.
    if (added > INSERTION_MAX) fresh.subarray(0, added).sort()
    else insertionSort(fresh, added)
    this.#merge(added)
    const keys = this.#keys
    for (let i = 0; i < count; i++) order[i] = keys[i] - Math.floor(keys[i] / PHOTONS_MAX) * PHOTONS_MAX
  }

  /** From the back, so that the keys move within their array. */
  #merge(added: number): void {
    const keys = this.#keys
    const fresh = this.#fresh
    let i = this.#sorted - 1
    let j = added - 1
    for (let to = this.count - 1; j >= 0; to--)
      keys[to] = i >= 0 && keys[i] > fresh[j] ? keys[i--] : fresh[j--]
    this.#sorted = this.count
  }
}

/** Up to here insertion wins; noise comes nearly in order, which it likes. */
const INSERTION_MAX = 60

function insertionSort(keys: Float64Array, count: number): void {
  for (let i = 1; i < count; i++) {
    const key = keys[i]
    let j = i
    for (; j > 0 && keys[j - 1] > key; j--) keys[j] = keys[j - 1]
    keys[j] = key
  }
}
