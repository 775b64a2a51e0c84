import { hidesPadding, type ModelManifest } from '../model/manifest.ts'
import { selectedAtMost } from '../tensors/select-pulses.ts'

/** How many events may share a run. */
export interface RunLimits {
  /** Padded pulses of a run: events × longest. One longer event runs alone. */
  readonly tokensPerRun: number
  readonly eventsPerRun: number
  /** Only events of equal length share a run, for networks that cannot tell padding from pulses. */
  readonly equalLengths: boolean
}

/** How a model's events are put into runs. */
export interface RunOptions extends RunLimits {
  readonly threads: number
  /** Pulses that the model takes of an event of so many; sorts events into runs, need not be exact. */
  readonly tokensOf: (pulses: number) => number
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

/** The line fit takes no tensors: its runs are only as large as keeps all workers busy. */
export function lineFitRuns(threads: number): RunOptions {
  return { threads, tokensPerRun: 4096, eventsPerRun: 256, equalLengths: false, tokensOf: (pulses) => pulses }
}

/** Which events share a run of a network. */
export function networkRuns({ limits, inputs, pulses }: ModelManifest, threads: number): RunOptions {
  return {
    threads,
    tokensPerRun: limits.tokensPerRun,
    eventsPerRun: limits.eventsPerRun,
    equalLengths: !hidesPadding(inputs) && inputs.some(({ layout }) => layout.startsWith('padded')),
    tokensOf: (count) => selectedAtMost(pulses, count),
  }
}

/** Runs that suit every one of several networks. */
export function sharedRuns(manifests: readonly ModelManifest[], threads: number): RunOptions {
  const all = manifests.map((manifest) => networkRuns(manifest, threads))
  const equalLengths = all.some((runs) => runs.equalLengths)
  return {
    threads,
    tokensPerRun: Math.min(...all.map(({ tokensPerRun }) => tokensPerRun)),
    eventsPerRun: Math.min(...all.map(({ eventsPerRun }) => eventsPerRun)),
    equalLengths,
    // Events of equal length are of equal length after any selection; those cut to one member's length may not be.
    tokensOf: (pulses) => (equalLengths ? pulses : Math.max(...all.map(({ tokensOf }) => tokensOf(pulses)))),
  }
}
