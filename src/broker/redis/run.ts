import type { Logger } from 'pino'
import { UsageError } from '../../errors.ts'
import type { BatchMessage, DeadLetter, LostStep, RunPosition, RunStanding } from '../contract.ts'
import { checkRunStep, type RunRecord, type RunStep } from '../rules.ts'
import type { RedisPartition } from './partition.ts'

/** When two emitters race, one of them reads again; more often than this it does not happen. */
const READS_MAX = 5

/** A step of a run and what is stored with it. */
export interface Step {
  readonly message: BatchMessage | undefined
  readonly position: RunPosition
  readonly deadLetters: readonly DeadLetter[]
  /** An earlier try may have taken effect although its answer was lost. */
  readonly isRetry: boolean
}

/**
 * What this broker instance knows about one run.
 *
 * Each partition stores the position of its own last batch, so that both are stored in one step; the run stands at the
 * highest of them. Redis can lose the last steps of a partition: its primary is replaced by a replica that did not have
 * them yet, or the server is killed before it wrote them to disk. While later steps stand in other partitions, the run then
 * has gaps. The repair runs in two situations only. When an emitter reads the position (at its start, and at the end of a
 * run), `read` compares what each partition should hold with what it holds, and returns the missing steps with their place
 * in the source; the emitter publishes them again under their old numbers. And when `publish` finds a partition behind what
 * this instance had stored there, it returns `repeat`, upon which the emitter reads the position. The places come from the
 * trail: each stored position also holds the positions of the steps before it.
 */
export class RedisRun {
  readonly #partitions: readonly RedisPartition[]
  readonly #publisher: string
  readonly #log: Logger | undefined
  readonly #trail: RunTrail
  #records: (RunRecord | undefined)[] | undefined
  #hasPublished = false

  constructor(partitions: readonly RedisPartition[], publisher: string, log: Logger | undefined) {
    this.#partitions = partitions
    this.#publisher = publisher
    this.#log = log
    this.#trail = new RunTrail(partitions.length)
  }

  /**
   * Where the run stands now, and which steps before that are lost.
   * @throws UsageError `run_lost`
   */
  async read(run: string): Promise<RunStanding | undefined> {
    const last = highest(await this.#readAll(run))
    if (!last) return undefined
    const standing = (this.#records ?? []).map((record) => record?.sequence)
    const lost = this.#trail.lost(standing, last)
    if (lost.length > 0)
      this.#log?.warn(
        { run, lost: lost.map(({ position }) => position.sequence) },
        'Redis lost batches of a run',
      )
    const { sequence, resume, emitted, done } = last
    return { run, sequence, resume, emitted, done, ...(lost.length > 0 && { lost }) }
  }

  async #readAll(run: string): Promise<(Position | undefined)[]> {
    const found = await Promise.all(this.#partitions.map((partition) => partition.position(run)))
    const positions = found.map((json) => parse(json))
    this.#records = positions
    this.#trail.read(positions.filter((position) => position !== undefined))
    return positions
  }

  /**
   * Stores the step if the run stands right before it. Safe to repeat.
   * @throws UsageError `run_taken`
   */
  async publish(
    partition: RedisPartition,
    { message, position, deadLetters, isRetry }: Step,
  ): Promise<'stored' | 'repeat'> {
    const { run, sequence } = position
    const batchId = message?.batchId ?? ''
    const record = { sequence, publisher: this.#publisher, batchId }
    for (let read = 0; read < READS_MAX; read++) {
      if (!this.#records) await this.#readAll(run)
      const records = this.#records ?? []
      const step = { ...record, run, hasPublished: this.#hasPublished }
      const here = records[partition.index]
      if (this.#verdict(records, here, step) === 'repeat') {
        const isOwn = isRetry && here?.publisher === this.#publisher && here.sequence === sequence
        return isOwn ? this.#stored(position) : 'repeat'
      }
      const expected = here?.sequence ?? 0
      const json = JSON.stringify({ ...position, ...record, ...this.#trail.before(sequence) })
      const reply = await partition.publish({ message, deadLetters, step: { run, expected, position: json } })
      // What stands now is known only if the step was stored; otherwise the next round judges by what was found.
      records[partition.index] = reply === 'stored' ? record : parse(reply)
      if (reply === 'stored') return this.#stored(position)
      // Redis has lost steps. They must be published first, and read() says which. Where nothing of the run is left, the
      // next round throws.
      const isBehind = (records[partition.index]?.sequence ?? 0) < expected
      if (isBehind && highest(await this.#readAll(run))) return 'repeat'
    }
    throw new Error(`run ${run} changed under every one of ${READS_MAX} tries to publish number ${sequence}`)
  }

  #stored(position: RunPosition): 'stored' {
    this.#hasPublished = true
    this.#trail.add(position)
    return 'stored'
  }

  #verdict(
    records: readonly (RunRecord | undefined)[],
    here: RunRecord | undefined,
    step: RunStep,
  ): 'new' | 'repeat' {
    if (here && here.sequence >= step.sequence) return checkRunStep(here, step)
    const last = highest(records)
    // Below the end of the run, but missing in its partition: that partition lost its last writes.
    return last && step.sequence <= last.sequence ? 'new' : checkRunStep(last, step)
  }
}

type Position = RunPosition & RunRecord & Partial<Trailing>

function parse(json: string | undefined): Position | undefined {
  if (json === undefined || json === '{}') return undefined
  // Only the script of `publish` writes this hash.
  return JSON.parse(json) as Position
}

function highest<T extends RunRecord>(records: readonly (T | undefined)[]): T | undefined {
  let last: T | undefined
  for (const record of records) if (record && record.sequence > (last?.sequence ?? 0)) last = record
  return last
}

/** Earlier steps that each stored position holds at least: five seconds of 3,000 events/s in batches of 256. */
const TRAIL_MIN = 64
/** Most bytes of a trail: the positions of a watched folder can be long. A batch has hundreds of kilobytes. */
const TRAIL_BYTES_MAX = 32 * 1024
/** Steps that a running emitter remembers. */
const MEMORY_MAX = 4096

/** A step in a trail: sequence, resume, emitted, done. */
export type TrailStep = readonly [number, string, number, 0 | 1]

/** What a stored position holds about earlier steps. */
export interface Trailing {
  readonly trail: readonly TrailStep[]
  /** Partitions that the run is spread over, and the first step that was spread so. */
  readonly partitions: number
  readonly since: number
}

/** Where in the source the last steps of a run ended. */
export class RunTrail {
  readonly #partitions: number
  readonly #steps = new Map<number, RunPosition>()
  #since = 1

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  /** Adds what the partitions hold. */
  read(stored: readonly (RunPosition & Partial<Trailing>)[]): void {
    for (const { run, trail = [] } of stored) {
      for (const [sequence, resume, emitted, done] of trail)
        this.#steps.set(sequence, { run, sequence, resume, emitted, done: done === 1 })
    }
    for (const position of stored) this.add(position)
    const last = stored.toSorted((a, b) => b.sequence - a.sequence)[0]
    if (!last) return
    // Whether steps are missing that were spread over another number of partitions cannot be said.
    this.#since = last.partitions === this.#partitions ? (last.since ?? 1) : last.sequence + 1
  }

  add({ run, sequence, resume, emitted, done }: RunPosition): void {
    this.#steps.set(sequence, { run, sequence, resume, emitted, done })
    this.#steps.delete(sequence - MEMORY_MAX)
  }

  /** What to store with the step `sequence`. A single partition can lose only its last steps, so it needs no trail. */
  before(sequence: number): Trailing {
    const trail: TrailStep[] = []
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
   * The steps that are missing before `last`: partition p should hold the highest sequence that is p modulo the number of
   * partitions. `standing` has the sequence that each holds.
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
      `run ${last.run} cannot continue: Redis lost batch ${sequence} of it in a fail-over, and no longer knows where in the ` +
        `source it was (the run stands at batch ${last.sequence}, ${last.resume}). Emit the source under another --run; ` +
        'events that were predicted already are then predicted twice',
    )
  }
}
