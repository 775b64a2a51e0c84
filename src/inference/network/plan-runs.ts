/** How many events may share a run. */
export interface RunLimits {
  /** Padded pulses of a run: events × longest. One longer event runs alone. */
  readonly tokensPerRun: number
  readonly eventsPerRun: number
  /** Only events of equal length share a run, for networks that cannot tell padding from pulses. */
  readonly equalLengths: boolean
}

/** Order in which to take events, and how many of them each run takes. */
export interface RunPlan {
  /** Indices into `lengths`, by ascending length, so that the events of a run need little padding. [events] */
  readonly order: Int32Array
  /** Events of each run; they sum to the number of events. [runs] */
  readonly sizes: readonly number[]
}

export function planRuns(lengths: Int32Array, limits: RunLimits): RunPlan {
  const order = Int32Array.from(lengths.keys()).sort((a, b) => lengths[a] - lengths[b] || a - b)
  const sizes: number[] = []
  let from = 0
  for (let i = 1; i <= order.length; i++) {
    if (i < order.length && fits(i - from + 1, lengths[order[from]], lengths[order[i]], limits)) continue
    sizes.push(i - from)
    from = i
  }
  return { order, sizes }
}

function fits(events: number, shortest: number, longest: number, limits: RunLimits): boolean {
  if (events > limits.eventsPerRun || events * longest > limits.tokensPerRun) return false
  return !limits.equalLengths || shortest === longest
}
