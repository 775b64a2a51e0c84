/** Least share of a bin: an empty one would make the index infinite. */
const SHARE_MIN = 1e-4

/**
 * Population stability index: the sum over bins of (now − before) · ln(now / before). 0 where both are the same, below
 * 0.1 by custom no change, above 0.25 a different population. By chance alone it is about (bins − 1) / events.
 * @param counts events now, by bin
 * @param shares of events before, by bin
 */
export function stabilityIndex(counts: Int32Array, shares: readonly number[]): number {
  const events = counts.reduce((sum, count) => sum + count, 0)
  let index = 0
  for (const [bin, share] of shares.entries()) {
    const before = Math.max(share, SHARE_MIN)
    const now = Math.max(counts[bin] / events, SHARE_MIN)
    index += (now - before) * Math.log(now / before)
  }
  return index
}
