/** Photo-electrons of one event at most. Real events stop at 178,250 pulses; what is beyond is not recorded. */
const PHOTONS_MAX = 2 ** 18
/** Times are ordered to 1/64 ns and must lie within ±2^20 ns, so that time and index share one exact double. */
const TICKS_PER_NS = 64
const EARLIEST_NS = -(2 ** 20)

/** Photo-electrons of one event, of light and of noise: columns that are used again for every event. */
export class Photons {
  count = 0
  readonly sensors: Uint16Array = new Uint16Array(PHOTONS_MAX)
  /** ns on the interaction's clock. */
  readonly times: Float64Array = new Float64Array(PHOTONS_MAX)
  /** Photo-electrons: above 1 where one entry stands for several. */
  readonly charges: Float64Array = new Float64Array(PHOTONS_MAX)
  /** Rows in order of time, after `sort`. */
  readonly order: Int32Array = new Int32Array(PHOTONS_MAX)
  readonly #keys: Float64Array = new Float64Array(PHOTONS_MAX)

  add(sensor: number, timeNs: number, charge: number): void {
    if (this.count === PHOTONS_MAX) return
    this.sensors[this.count] = sensor
    this.times[this.count] = timeNs
    this.charges[this.count] = charge
    this.count++
  }

  /** Fills `order`; entries of equal time keep the order they were added in. */
  sort(): void {
    const { count, times, order } = this
    const keys = this.#keys
    // A numeric sort of typed arrays takes no comparator and is several times faster than one that does.
    for (let i = 0; i < count; i++) {
      keys[i] = Math.floor((times[i] - EARLIEST_NS) * TICKS_PER_NS) * PHOTONS_MAX + i
    }
    if (count > 40) keys.subarray(0, count).sort()
    else insertionSort(keys, count)
    for (let i = 0; i < count; i++) order[i] = keys[i] - Math.floor(keys[i] / PHOTONS_MAX) * PHOTONS_MAX
  }
}

function insertionSort(keys: Float64Array, count: number): void {
  for (let i = 1; i < count; i++) {
    const key = keys[i]
    let j = i
    for (; j > 0 && keys[j - 1] > key; j--) keys[j] = keys[j - 1]
    keys[j] = key
  }
}
