/**
 * Random numbers that are addressed, not queued: `restart(seed, index)` begins stream `index` of `seed` at once, without
 * drawing from the streams before it, so events can be made in any order and on any worker and come out the same.
 *
 * xoshiro128++ (Blackman, Vigna 2021, doi 10.1145/3460772), its state filled by the finaliser of MurmurHash3.
 */
export class Random {
  #a = 1
  #b = 0
  #c = 0
  #d = 0
  #spareNormal = Number.NaN

  /** Both are whole numbers from 0 to 2^53 - 1. */
  restart(seed: number, index: number): void {
    let h = 0x9e3779b9
    for (const word of [low(seed), high(seed), low(index), high(index)]) h = mix(h ^ word) + 0x9e3779b9
    this.#a = mix(h + 1)
    this.#b = mix(h + 2) ^ low(index)
    this.#c = mix(h + 3) ^ low(seed)
    this.#d = mix(h + 4) | 1
    this.#spareNormal = Number.NaN
    // Neighbouring streams start from states that differ in every word, but not yet in every bit.
    for (let i = 0; i < 8; i++) this.uniform()
  }

  /** Above 0 and below 1, in steps of 2^-32. */
  uniform(): number {
    const sum = (this.#a + this.#d) | 0
    const result = (((sum << 7) | (sum >>> 25)) + this.#a) | 0
    const t = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= t
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return ((result >>> 0) + 0.5) * 2.3283064365386963e-10
  }

  /** Mean 1. */
  exponential(): number {
    return -Math.log(this.uniform())
  }

  /** Mean 0, standard deviation 1 (Marsaglia's polar method). */
  normal(): number {
    const spare = this.#spareNormal
    if (!Number.isNaN(spare)) {
      this.#spareNormal = Number.NaN
      return spare
    }
    let x = 0
    let y = 0
    let square = 0
    do {
      x = 2 * this.uniform() - 1
      y = 2 * this.uniform() - 1
      square = x * x + y * y
    } while (square >= 1 || square === 0)
    const scale = Math.sqrt((-2 * Math.log(square)) / square)
    this.#spareNormal = y * scale
    return x * scale
  }

  /** Gamma distribution of the given shape (above 0) and rate 1; Marsaglia, Tsang 2000, doi 10.1145/358407.358414. */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * this.uniform() ** (1 / shape)
    const d = shape - 1 / 3
    const c = 1 / Math.sqrt(9 * d)
    for (;;) {
      const x = this.normal()
      const root = 1 + c * x
      if (root <= 0) continue
      const v = root * root * root
      const u = this.uniform()
      if (u < 1 - 0.0331 * x * x * x * x) return d * v
      if (Math.log(u) < 0.5 * x * x + d * (1 - v + Math.log(v))) return d * v
    }
  }

  /** Poisson distribution of the given mean (0 or above; from 1e6 on its normal limit). */
  poisson(mean: number): number {
    // A gamma draw tells how long half of the arrivals take; what is left is a smaller Poisson draw (Ahrens, Dieter 1974).
    let left = mean
    let arrivals = 0
    if (left > 1e6) return Math.max(0, Math.round(left + Math.sqrt(left) * this.normal()))
    while (left > 16) {
      const some = Math.floor(left * 0.875)
      const waited = this.gamma(some)
      if (waited > left) return arrivals + this.#binomial(some - 1, left / waited)
      arrivals += some
      left -= waited
    }
    const limit = Math.exp(-left)
    for (let product = this.uniform(); product > limit; product *= this.uniform()) arrivals++
    return arrivals
  }

  /** Only met when a gamma draw overshoots (a few in a hundred), so the plain loop is fast enough up to its normal limit. */
  #binomial(trials: number, chance: number): number {
    if (trials > 1000) {
      const spread = Math.sqrt(trials * chance * (1 - chance))
      return Math.min(trials, Math.max(0, Math.round(trials * chance + spread * this.normal())))
    }
    let hits = 0
    for (let i = 0; i < trials; i++) if (this.uniform() < chance) hits++
    return hits
  }
}

function low(value: number): number {
  return value | 0
}

function high(value: number): number {
  return Math.floor(value / 0x1_0000_0000) | 0
}

function mix(word: number): number {
  let h = word | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
