import { UsageError } from '../errors.ts'

/** What a home of the broker holds about a run, next to the position itself. */
export interface RunRecord {
  readonly sequence: number
  /** The broker instance that published it, and the id of that batch ('' when there was none). */
  readonly publisher: string
  readonly batchId: string
}

/** A publish as the home of the broker sees it. */
export interface RunStep extends RunRecord {
  readonly run: string
  /** Whether this publisher has stored a step of this run before. */
  readonly hasPublished: boolean
}

/**
 * Whether a step of a run is new or one that is already stored.
 *
 * A step is a repeat when its sequence was stored before: by this publisher, or by the one whose place it took after a
 * crash. It is not when two publishers are alive at once; then one batch would silently stand for another.
 * @throws UsageError `run_taken` for two publishers, and for a step that leaves a gap
 */
export function checkRunStep(stored: RunRecord | undefined, step: RunStep): 'new' | 'repeat' {
  const last = stored?.sequence ?? 0
  if (step.sequence > last + 1) {
    throw taken(
      step,
      `the broker holds ${last} batches of it and was given number ${step.sequence}. Either another emitter has ` +
        'begun the run anew or the broker lost its last writes; start this emitter again to go on from what is stored',
    )
  }
  if (step.sequence === last + 1) return 'new'
  if (stored === undefined || stored.publisher === step.publisher) return 'repeat'
  const tookOver = !step.hasPublished && (step.sequence < last || stored.batchId === step.batchId)
  if (tookOver) return 'repeat'
  throw taken(
    step,
    `another emitter has published number ${last} of it. Stop one of them, or give one another --run`,
  )
}

function taken(step: RunStep, why: string): UsageError {
  return new UsageError('run_taken', `run ${step.run} cannot go on: ${why}`)
}
