import { DRIFT_FEATURES, type DriftFeature, type FeatureColumns } from './features.ts'

/** Shares of events by the value of a feature. */
export interface Histogram {
  /** Ascending. The first bin also takes what lies below `edges[0]`, the last what lies beyond the last. [bins + 1] */
  readonly edges: readonly number[]
  /** Share of events with `edges[i]` ≤ value < `edges[i + 1]`; they sum to 1. [bins] */
  readonly shares: readonly number[]
}

/** What the events that a model was trained on looked like: the `reference` of a manifest. */
export interface DriftReference extends Readonly<Record<DriftFeature, Histogram>> {
  /** Which events, in words. */
  readonly data: string
  readonly events: number
}

/** Ten bins that each hold about as many of the events: a change anywhere moves some of them. */
const BINS = 10

/** @throws RangeError without events */
export function makeReference(columns: FeatureColumns, data: string): DriftReference {
  const events = columns.pulses.length
  if (events === 0) throw new RangeError('a reference is made of events, there are none')
  const histograms = DRIFT_FEATURES.map((feature) => [feature, makeHistogram(columns[feature])] as const)
  return { data, events, ...(Object.fromEntries(histograms) as Record<DriftFeature, Histogram>) }
}

function makeHistogram(values: Float64Array): Histogram {
  const edges = makeEdges(values.toSorted())
  const counts = new Int32Array(edges.length - 1)
  countInto(counts, edges, values)
  return { edges, shares: Array.from(counts, (count) => rounded(count / values.length)) }
}

/** Least value, deciles and greatest value; fewer where many events share a value, two bins at least. */
function makeEdges(sorted: Float64Array): number[] {
  const deciles = Array.from(
    { length: BINS - 1 },
    (_, i) => sorted[Math.floor(((i + 1) * sorted.length) / BINS)],
  )
  const edges = [...new Set([sorted[0], ...deciles, sorted[sorted.length - 1]].map(rounded))]
  if (edges.length > 2) return edges
  // Nearly all events share one value: a bin for it and one for what is less.
  const middle = deciles[4]
  return [middle - 1, middle, Math.max(middle + 1, edges[edges.length - 1])]
}

/** Adds the number of values in each bin to `counts`. [edges − 1] */
export function countInto(counts: Int32Array, edges: readonly number[], values: Float64Array): void {
  const last = counts.length - 1
  for (const value of values) {
    let bin = 0
    while (bin < last && value >= edges[bin + 1]) bin++
    counts[bin]++
  }
}

/** Six digits: enough for any histogram of a million events. */
function rounded(value: number): number {
  return Number(value.toPrecision(6))
}
