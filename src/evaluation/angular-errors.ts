/** Summary of the opening angles between predicted and true directions. Angles in radians. */
export interface AngularErrorSummary {
  readonly events: number
  readonly mean: number
  readonly median: number
  /** Half-width of the 95 % interval of the mean. */
  readonly meanUncertainty: number
  readonly p10: number
  readonly p25: number
  readonly p75: number
  readonly p90: number
}

/** The summary of some angles, or undefined for none. */
export function summarise(errors: Float64Array): AngularErrorSummary | undefined {
  const events = errors.length
  if (events === 0) return undefined
  const sorted = errors.toSorted()
  let sum = 0
  for (const error of sorted) sum += error
  const mean = sum / events
  let squares = 0
  for (const error of sorted) squares += (error - mean) ** 2
  const deviation = Math.sqrt(squares / Math.max(1, events - 1))
  return {
    events,
    mean,
    median: quantile(sorted, 0.5),
    meanUncertainty: (1.96 * deviation) / Math.sqrt(events),
    p10: quantile(sorted, 0.1),
    p25: quantile(sorted, 0.25),
    p75: quantile(sorted, 0.75),
    p90: quantile(sorted, 0.9),
  }
}

/** Quantile of ascending values, interpolated linearly between neighbours. */
export function quantile(sorted: Float64Array, fraction: number): number {
  const position = (sorted.length - 1) * fraction
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below)
}

/** A range of a quantity, and the summary of the events whose value lies in it. */
export interface BinSummary {
  readonly from: number
  /** Exclusive, except for the last bin. */
  readonly to: number
  readonly summary: AngularErrorSummary | undefined
}

/** Summaries by bins of another quantity of the same events. `edges` ascend; values outside are left out. */
export function summariseByBin(
  errors: Float64Array,
  values: Float64Array,
  edges: readonly number[],
): BinSummary[] {
  const last = edges.length - 2
  return edges.slice(0, -1).map((from, bin) => {
    const to = edges[bin + 1]
    const inBin = errors.filter((_, event) => {
      const value = values[event]
      return value >= from && (value < to || (bin === last && value === to))
    })
    return { from, to, summary: summarise(inBin) }
  })
}
