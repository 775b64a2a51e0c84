/** Counts of values in bins of equal width, for quantiles of any number of values in bounded memory. */
export class Histogram {
  count = 0
  min = Number.POSITIVE_INFINITY
  max = Number.NEGATIVE_INFINITY
  readonly width: number
  readonly bins: Float64Array
  #sum = 0
  #sumOfSquares = 0
  readonly #offset: number

  /**
   * Bins of `width` from 0; the first and last bin also count values outside. `offset`: position of the values within a
   * bin, such as 0 for whole numbers in bins of 1.
   */
  constructor(width: number, bins: number, offset: number = width / 2) {
    this.width = width
    this.#offset = offset
    this.bins = new Float64Array(bins)
  }

  add(value: number): void {
    const bin = (value / this.width) | 0
    this.bins[Math.max(0, Math.min(this.bins.length - 1, bin))]++
    this.count++
    this.#sum += value
    this.#sumOfSquares += value * value
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
  }

  /** NaN without values. */
  mean(): number {
    return this.#sum / this.count
  }

  /** Standard deviation; NaN without values. */
  deviation(): number {
    return Math.sqrt(Math.max(0, this.#sumOfSquares / this.count - this.mean() ** 2))
  }

  /** The quantile of a share `p` (0 to 1), to the precision of a bin; NaN without values. */
  quantile(p: number): number {
    return this.quantiles([p])[0]
  }

  /** Quantiles of several shares, which ascend, in one pass. */
  quantiles(shares: readonly number[]): number[] {
    if (this.count === 0) return shares.map(() => Number.NaN)
    const found: number[] = []
    let below = 0
    for (let bin = 0; bin < this.bins.length && found.length < shares.length; bin++) {
      below += this.bins[bin]
      while (found.length < shares.length && this.#reaches(below, shares[found.length]))
        found.push(bin * this.width + this.#offset)
    }
    return found
  }

  #reaches(below: number, share: number): boolean {
    const wanted = share * this.count
    return below > wanted || below === this.count
  }

  /** Share of the values above `value`, to the precision of a bin. */
  shareAbove(value: number): number {
    let above = 0
    for (let bin = Math.floor(value / this.width) + 1; bin < this.bins.length; bin++) above += this.bins[bin]
    return above / this.count
  }
}
