import {
  type BootstrapOptions,
  type Interval,
  meanInterval,
  meanOf,
  medianInterval,
  quantile,
} from './bootstrap.ts'

/**
 * Summary of the opening angles between predicted and true directions of some events. Radians; null without events, and
 * intervals also for one event, of whose scatter nothing is known.
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
  /** Exclusive, except for the last bin; null where there is no upper end. */
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
 * Summaries by bins of another quantity of the same events. `edges` ascend, the last may be infinite; values outside are
 * left out.
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
