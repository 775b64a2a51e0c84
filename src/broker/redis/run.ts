import type { Logger } from 'pino'
import type { BatchMessage, DeadLetter, RunPosition, RunStanding } from '../contract.ts'
import { checkRunStep, type RunRecord, type RunStep } from '../run-taken.ts'
import { RunTrail, type Trailing } from '../run-trail.ts'
import type { RedisPartition } from './partition.ts'

/** Two emitters that race make one of them look again; more often than this it does not happen. */
const LOOKS_MAX = 5

/** A step of a run with what it carries. */
export interface Step {
  readonly message: BatchMessage | undefined
  readonly position: RunPosition
  readonly deadLetters: readonly DeadLetter[]
  /** Whether an earlier try may have taken effect without our hearing of it. */
  readonly isRetry: boolean
}

/**
 * What this broker instance knows about one run. Each partition holds the position of its own last batch, so that both
 * are stored in one step; the run stands at the highest of them.
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
    const last = highest(await this.#look(run))
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

  async #look(run: string): Promise<(Position | undefined)[]> {
    const found = await Promise.all(this.#partitions.map((partition) => partition.position(run)))
    const positions = found.map((json) => parse(json))
    this.#records = positions
    this.#trail.read(positions.filter((position) => position !== undefined))
    return positions
  }

  /**
   * Stores the step if the run stands right before it. Harmless to repeat.
   * @throws UsageError `run_taken`
   */
  async publish(
    partition: RedisPartition,
    { message, position, deadLetters, isRetry }: Step,
  ): Promise<'stored' | 'repeat'> {
    const { run, sequence } = position
    const batchId = message?.batchId ?? ''
    const record = { sequence, publisher: this.#publisher, batchId }
    for (let look = 0; look < LOOKS_MAX; look++) {
      if (!this.#records) await this.#look(run)
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
      // What stands now is known only if it was stored; otherwise the next look judges by what was found.
      records[partition.index] = reply === 'stored' ? record : parse(reply)
      if (reply === 'stored') return this.#stored(position)
      // Redis was killed before it wrote its last batches down, or a replica took over without them: what is lost must
      // come first, and read() tells what that is. Where nothing of the run is left, the next look says so.
      const isBehind = (records[partition.index]?.sequence ?? 0) < expected
      if (isBehind && highest(await this.#look(run))) return 'repeat'
    }
    throw new Error(`run ${run} changed under every one of ${LOOKS_MAX} tries to publish number ${sequence}`)
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
    // Below the run's end, but not in its partition: that partition alone lost its last writes, or is late.
    return last && step.sequence <= last.sequence ? 'new' : checkRunStep(last, step)
  }
}

type Position = RunPosition & RunRecord & Partial<Trailing>

function parse(json: string | undefined): Position | undefined {
  if (json === undefined || json === '{}') return undefined
  // Only our own script writes this hash.
  return JSON.parse(json) as Position
}

function highest<T extends RunRecord>(records: readonly (T | undefined)[]): T | undefined {
  let last: T | undefined
  for (const record of records) if (record && record.sequence > (last?.sequence ?? 0)) last = record
  return last
}
