/** Counts of values in bins of equal width, for quantiles of any number of values in bounded memory. */
export class Histogram {
  count = 0
  max = Number.NEGATIVE_INFINITY
  #sum = 0
  readonly #width: number
  readonly #offset: number
  readonly #bins: Float64Array

  /**
   * From 0 in bins of `width`; the last bin takes what is beyond, the first what is below. `offset`: where in a bin its
   * values lie, such as 0 for whole numbers in bins of 1.
   */
  constructor(width: number, bins: number, offset: number = width / 2) {
    this.#width = width
    this.#offset = offset
    this.#bins = new Float64Array(bins)
  }

  add(value: number): void {
    const bin = (value / this.#width) | 0
    this.#bins[Math.max(0, Math.min(this.#bins.length - 1, bin))]++
    this.count++
    this.#sum += value
    if (value > this.max) this.max = value
  }

  /** NaN without values. */
  mean(): number {
    return this.#sum / this.count
  }

  /** The value that a share `p` (0 to 1) of the values lies below, to a bin; NaN without values. */
  quantile(p: number): number {
    let below = p * this.count
    for (let bin = 0; bin < this.#bins.length; bin++) {
      below -= this.#bins[bin]
      if (below < 0 || (below === 0 && p === 1)) return bin * this.#width + this.#offset
    }
    return this.count > 0 ? this.max : Number.NaN
  }

  /** Share of the values that are above `value`, to a bin. */
  shareAbove(value: number): number {
    let above = 0
    for (let bin = Math.floor(value / this.#width) + 1; bin < this.#bins.length; bin++)
      above += this.#bins[bin]
    return above / this.count
  }
}
