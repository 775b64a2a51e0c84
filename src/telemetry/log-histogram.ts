/**
 * A histogram of fixed size over logarithmic buckets, for quantiles of a long run without keeping its values.
 * Values from 1e-3 to 1e9 in any unit; a quantile is right within 2.5 %.
 */
export class LogHistogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sum = 0

  /** Counts `value` `weight` times. Below the range counts as its lower end, above as its upper. */
  add(value: number, weight = 1): void {
    if (!Number.isFinite(value) || weight <= 0) return
    this.#counts[bucketOf(value)] += weight
    this.#count += weight
    this.#sum += value * weight
  }

  get count(): number {
    return this.#count
  }

  /** NaN where nothing was counted. */
  get mean(): number {
    return this.#sum / this.#count
  }

  /** The value below which a share `q` (0 to 1) of what was counted lies; NaN where nothing was. */
  quantile(q: number): number {
    if (this.#count === 0) return Number.NaN
    const rank = Math.max(1, Math.ceil(q * this.#count))
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]
      if (seen >= rank) return LOWEST * GROWTH ** (bucket + 0.5)
    }
    return LOWEST * GROWTH ** BUCKETS
  }
}

const LOWEST = 1e-3
const HIGHEST = 1e9
const GROWTH = 1.05
const BUCKETS = Math.ceil(Math.log(HIGHEST / LOWEST) / Math.log(GROWTH))

function bucketOf(value: number): number {
  if (value <= LOWEST) return 0
  return Math.min(BUCKETS - 1, Math.floor(Math.log(value / LOWEST) / Math.log(GROWTH)))
}
