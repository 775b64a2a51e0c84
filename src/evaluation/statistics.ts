import { Random } from '../simulator/random.ts'

/**
 * Summary of the opening angles between predicted and true directions of some events. Radians; null without events.
 * Intervals are also null for a single event, which has no scatter.
 */
export interface ErrorSummary {
  readonly events: number
  readonly meanAngularErrorRad: number | null
  /** 95 % by bootstrap, like all intervals here. */
  readonly meanAngularErrorIntervalRad: Interval | null
  readonly medianAngularErrorRad: number | null
  readonly medianAngularErrorIntervalRad: Interval | null
}

export interface Quantiles {
  readonly p10: number
  readonly p25: number
  readonly p75: number
  readonly p90: number
}

/** A range of a quantity, and the summary of the events whose value lies in it. */
export interface BinSummary extends ErrorSummary {
  readonly from: number
  /** Exclusive, except for the last bin; null without an upper end. */
  readonly to: number | null
}

export function summarise(errors: Float64Array, options: BootstrapOptions): ErrorSummary {
  if (errors.length === 0) {
    return {
      events: 0,
      meanAngularErrorRad: null,
      meanAngularErrorIntervalRad: null,
      medianAngularErrorRad: null,
      medianAngularErrorIntervalRad: null,
    }
  }
  const sorted = errors.toSorted()
  return {
    events: errors.length,
    meanAngularErrorRad: meanOf(sorted),
    meanAngularErrorIntervalRad: sorted.length > 1 ? meanInterval(sorted, options) : null,
    medianAngularErrorRad: quantile(sorted, 0.5),
    medianAngularErrorIntervalRad: sorted.length > 1 ? medianInterval(sorted, options) : null,
  }
}

export function quantilesOf(errors: Float64Array): Quantiles | null {
  if (errors.length === 0) return null
  const sorted = errors.toSorted()
  const [p10, p25, p75, p90] = [0.1, 0.25, 0.75, 0.9].map((fraction) => quantile(sorted, fraction))
  return { p10, p25, p75, p90 }
}

/** Share of events with at most each error. `sorted` ascends. */
export function cumulativeShares(sorted: Float64Array, angles: readonly number[]): number[] {
  let below = 0
  return angles.map((angle) => {
    while (below < sorted.length && sorted[below] <= angle) below++
    return below / sorted.length
  })
}

/**
 * Summaries by bins of another quantity of the same events. `edges` ascend, the last may be infinite; values outside
 * the edges are omitted.
 */
export function summariseByBin(
  errors: Float64Array,
  values: Float64Array,
  edges: readonly number[],
  options: BootstrapOptions,
): BinSummary[] {
  const last = edges.length - 2
  return edges.slice(0, -1).map((from, bin) => {
    const to = edges[bin + 1]
    const inBin = errors.filter((_, event) => {
      const value = values[event]
      return value >= from && (value < to || (bin === last && value === to))
    })
    return { from, to: Number.isFinite(to) ? to : null, ...summarise(inBin, options) }
  })
}

/** Lower and upper end of a 95 % interval. */
export type Interval = readonly [number, number]

export interface BootstrapOptions {
  /** Seed of the resamples; the same seed and data give the same interval. */
  readonly seed: number
  readonly resamples: number
}

export const DEFAULT_BOOTSTRAP: BootstrapOptions = { seed: 1, resamples: 1000 }

/**
 * Most draws per resample. The mean of this many values is practically normal, so its spread can be scaled to that of
 * all values.
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
 * The same for the median of ascending values. It is sampled exactly, without resampling the data: the rank of the
 * median of a resample is an order statistic of uniform numbers, which is beta-distributed (David and Nagaraja, Order
 * Statistics, §2.3).
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
    // For an even number of values the median is between the middle two; the upper one is the minimum of those above.
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

/** Quantile of ascending values, interpolated linearly between neighbours; NaN without values. */
export function quantile(sorted: Float64Array, fraction: number): number {
  if (sorted.length === 0) return Number.NaN
  const position = (sorted.length - 1) * fraction
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
}
