import { hidesPadding, type ModelManifest } from '../model/manifest.ts'
import { selectedAtMost } from '../tensors/select-pulses.ts'
import type { SchedulerOptions } from './scheduler.ts'

/** The line fit takes no tensors: its runs are only as large as keeps all workers busy. */
export function lineFitRuns(threads: number): SchedulerOptions {
  return { threads, tokensPerRun: 4096, eventsPerRun: 256, equalLengths: false, tokensOf: (pulses) => pulses }
}

/** Which events share a run of a network. */
export function networkRuns({ limits, inputs, pulses }: ModelManifest, threads: number): SchedulerOptions {
  return {
    threads,
    tokensPerRun: limits.tokensPerRun,
    eventsPerRun: limits.eventsPerRun,
    equalLengths: !hidesPadding(inputs) && inputs.some(({ layout }) => layout.startsWith('padded')),
    tokensOf: (count) => selectedAtMost(pulses, count),
  }
}

/** Runs that suit every one of several networks. */
export function sharedRuns(manifests: readonly ModelManifest[], threads: number): SchedulerOptions {
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
