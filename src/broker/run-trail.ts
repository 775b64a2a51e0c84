import { UsageError } from '../errors.ts'
import type { LostStep, RunPosition } from './contract.ts'

/** Steps before its own that each stored position remembers at least: five seconds of the detector in batches of 256. */
const TRAIL_MIN = 64
/** Bytes of a trail at most: the places of a watched folder can be long. A batch has hundreds of kilobytes. */
const TRAIL_BYTES_MAX = 32 * 1024
/** Steps that a living emitter remembers. */
const MEMORY_MAX = 4096

/** A step as a trail remembers it: sequence, resume, emitted, done. */
export type Footprint = readonly [number, string, number, 0 | 1]

/** What a stored position carries for the sake of the others. */
export interface Trailing {
  readonly trail: readonly Footprint[]
  /** Partitions that the run is spread over, and the first step that was. */
  readonly partitions: number
  readonly since: number
}

/**
 * Where the last steps of a run ended. The positions of a run are spread over the partitions, so that each is stored in
 * one step with its batch; when one partition loses its last steps in a fail-over, while later ones stand in the others,
 * this tells where in the source the lost ones lay.
 */
export class RunTrail {
  readonly #partitions: number
  readonly #steps = new Map<number, RunPosition>()
  #since = 1

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  /** Takes in what the partitions hold. */
  read(stored: readonly (RunPosition & Partial<Trailing>)[]): void {
    for (const { run, trail = [] } of stored) {
      for (const [sequence, resume, emitted, done] of trail)
        this.#steps.set(sequence, { run, sequence, resume, emitted, done: done === 1 })
    }
    for (const position of stored) this.add(position)
    const last = stored.toSorted((a, b) => b.sequence - a.sequence)[0]
    if (!last) return
    // Steps that were spread over another number of partitions cannot be judged by this one.
    this.#since = last.partitions === this.#partitions ? (last.since ?? 1) : last.sequence + 1
  }

  add({ run, sequence, resume, emitted, done }: RunPosition): void {
    this.#steps.set(sequence, { run, sequence, resume, emitted, done })
    this.#steps.delete(sequence - MEMORY_MAX)
  }

  /** What is to be stored with the step `sequence`. A partition that is alone loses no step but its last ones. */
  before(sequence: number): Trailing {
    const trail: Footprint[] = []
    const length = this.#partitions === 1 ? 0 : Math.max(TRAIL_MIN, 2 * this.#partitions)
    let bytes = 0
    for (let number = sequence - 1; number >= sequence - length; number--) {
      const step = this.#steps.get(number)
      bytes += step?.resume.length ?? 0
      if (!step || bytes > TRAIL_BYTES_MAX) break
      trail.push([number, step.resume, step.emitted, step.done ? 1 : 0])
    }
    return { trail, partitions: this.#partitions, since: this.#since }
  }

  /**
   * Which steps are missing before `last`, where partition p ought to hold up to the last of the sequences that are p
   * modulo the number of partitions.
   * @throws UsageError `run_lost` when no trail reaches back to them
   */
  lost(standing: readonly (number | undefined)[], last: RunPosition): LostStep[] {
    const missing: number[] = []
    for (const [partition, sequence = 0] of standing.entries()) {
      const count = this.#partitions
      const end = last.sequence - ((((last.sequence - partition) % count) + count) % count)
      for (let number = end; number > sequence && number >= this.#since; number -= count) missing.push(number)
    }
    return missing.toSorted((a, b) => a - b).map((sequence) => this.#lostStep(sequence, last))
  }

  #lostStep(sequence: number, last: RunPosition): LostStep {
    const position = this.#steps.get(sequence)
    const before = this.#steps.get(sequence - 1)
    if (position && (before || sequence === 1)) return { before, position }
    throw new UsageError(
      'run_lost',
      `run ${last.run} cannot go on: Redis lost batch ${sequence} of it in a fail-over, and no longer knows where in the ` +
        `source it lay (the run stands at batch ${last.sequence}, ${last.resume}). Emit the source under another --run; ` +
        'what had been predicted of it comes twice',
    )
  }
}
