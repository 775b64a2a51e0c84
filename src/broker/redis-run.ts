import type { Logger } from 'pino'
import type { BatchMessage, DeadLetter, RunPosition } from './broker.ts'
import type { RedisPartition } from './redis-partition.ts'
import { checkRunStep, type RunRecord, type RunStep } from './run-taken.ts'

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
  #records: (RunRecord | undefined)[] | undefined
  #hasPublished = false

  constructor(partitions: readonly RedisPartition[], publisher: string, log: Logger | undefined) {
    this.#partitions = partitions
    this.#publisher = publisher
    this.#log = log
  }

  /** Where the run stands now. */
  async read(run: string): Promise<RunPosition | undefined> {
    const found = await Promise.all(this.#partitions.map((partition) => partition.position(run)))
    const positions = found.map((json) => parse(json))
    this.#records = positions
    const last = highest(positions)
    if (!last) return undefined
    const { sequence, resume, emitted, done } = last
    return { run, sequence, resume, emitted, done }
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
    const json = JSON.stringify({ ...position, ...record })
    for (let look = 0; look < LOOKS_MAX; look++) {
      if (!this.#records) await this.read(run)
      const records = this.#records ?? []
      const step = { ...record, run, hasPublished: this.#hasPublished }
      const here = records[partition.index]
      if (this.#verdict(records, here, step) === 'repeat') {
        const isOwn = isRetry && here?.publisher === this.#publisher && here.sequence === sequence
        return isOwn ? this.#stored() : 'repeat'
      }
      const expected = here?.sequence ?? 0
      const wasOurs = here?.publisher === this.#publisher
      const reply = await partition.publish({ message, deadLetters, step: { run, expected, position: json } })
      // What stands now is known only if it was stored; otherwise the next look judges by what was found.
      records[partition.index] = reply === 'stored' ? record : parse(reply)
      if (reply === 'stored') return this.#stored()
      if (wasOurs && (records[partition.index]?.sequence ?? 0) < expected && (await this.#canGoBack(run)))
        return 'repeat'
    }
    throw new Error(`run ${run} changed under every one of ${LOOKS_MAX} tries to publish number ${sequence}`)
  }

  /**
   * Redis has lost batches that we had stored: it was killed before it wrote them down, or its replica took over without
   * them. The emitter can go back to where the run stands now if no batch is missing before that.
   */
  async #canGoBack(run: string): Promise<boolean> {
    const position = await this.read(run)
    this.#log?.warn({ run, standsAt: position?.sequence ?? 0 }, 'Redis lost the last batches of a run')
    const count = this.#partitions.length
    return (this.#records ?? []).every((record, partition) => {
      const last = position?.sequence ?? 0
      const lastHere = last - ((last - partition + count) % count)
      return position !== undefined && (lastHere < 1 || record?.sequence === lastHere)
    })
  }

  #stored(): 'stored' {
    this.#hasPublished = true
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

type Position = RunPosition & RunRecord

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
