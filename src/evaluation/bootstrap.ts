import { Random } from '../simulator/random.ts'

/** Lower and upper end of a 95 % interval. */
export type Interval = readonly [number, number]

export interface BootstrapOptions {
  /** Another seed, other resamples; the same seed and data give the same interval. */
  readonly seed: number
  readonly resamples: number
}

export const DEFAULT_BOOTSTRAP: BootstrapOptions = { seed: 1, resamples: 1000 }

/**
 * A resample of more draws than this would take long. The mean of so many values is normal to all practical ends, so its
 * spread is scaled to what all draws would give.
 */
const DRAWS_MAX = 10_000

/**
 * Percentile bootstrap (Efron 1979) of the mean: 95 % interval over resamples of the values, drawn with replacement.
 * Beyond 10,000 values a resample has that many draws and deviations shrink by √(draws / values).
 */
export function meanInterval(values: Float64Array, { seed, resamples }: BootstrapOptions): Interval {
  const count = values.length
  if (count === 0) return [Number.NaN, Number.NaN]
  const random = new Random()
  random.restart(seed, 0)
  const draws = Math.min(count, DRAWS_MAX)
  const mean = meanOf(values)
  const shrink = Math.sqrt(draws / count)
  const means = new Float64Array(resamples)
  for (let resample = 0; resample < resamples; resample++) {
    let sum = 0
    for (let draw = 0; draw < draws; draw++) sum += values[(random.uniform() * count) | 0]
    means[resample] = mean + (sum / draws - mean) * shrink
  }
  return percentiles(means)
}

/**
 * The same of the median, of ascending values. A resample need not be drawn: the place of its middle value among the
 * values is an order statistic of uniform numbers, which is beta-distributed (David and Nagaraja, Order Statistics, §2.3).
 */
export function medianInterval(sorted: Float64Array, { seed, resamples }: BootstrapOptions): Interval {
  const count = sorted.length
  if (count === 0) return [Number.NaN, Number.NaN]
  const random = new Random()
  random.restart(seed, 1)
  const lower = Math.ceil(count / 2)
  const medians = new Float64Array(resamples)
  for (let resample = 0; resample < resamples; resample++) {
    const below = random.gamma(lower)
    const share = below / (below + random.gamma(count + 1 - lower))
    // Of an even number of values the median lies between the middle two: the next one is the least of those above.
    const gap = count % 2 === 0 ? 1 - random.uniform() ** (1 / (count - lower)) : 0
    const next = share + (1 - share) * gap
    medians[resample] = (at(sorted, share) + at(sorted, next)) / 2
  }
  return percentiles(medians)
}

function at(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}

function percentiles(replicates: Float64Array): Interval {
  replicates.sort()
  return [quantile(replicates, 0.025), quantile(replicates, 0.975)]
}

export function meanOf(values: Float64Array): number {
  let sum = 0
  for (const value of values) sum += value
  return sum / values.length
}

/** Quantile of ascending values, interpolated linearly between neighbours; NaN of none. */
export function quantile(sorted: Float64Array, fraction: number): number {
  if (sorted.length === 0) return Number.NaN
  const position = (sorted.length - 1) * fraction
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
}
