import { EVENT_ERROR_CODES, type EventErrorCode, UsageError } from '../errors.ts'

/*
 * Rules that every backend follows: which partition a batch goes to, when a step of a run is a repeat, and how long a
 * heartbeat counts.
 */

/**
 * The partition of a batch. With a position it follows the sequence, so that the position is stored beside its batch and
 * one emitter spreads evenly; without one it follows the batch id (FNV-1a).
 */
export function partitionOf(batchId: string, sequence: number | undefined, partitions: number): number {
  if (sequence !== undefined) return sequence % partitions
  let hash = 0x811c9dc5
  for (let i = 0; i < batchId.length; i++) hash = Math.imul(hash ^ batchId.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % partitions
}

/** The stored code of a dead letter; a code of another version becomes the least specific one. */
export function toErrorCode(value: unknown): EventErrorCode {
  return EVENT_ERROR_CODES.find((code) => code === value) ?? 'wire_unreadable'
}

/** A process counts as gone after three missed beats. */
const BEATS_MISSED = 3
/** The name of a process that is gone is kept this long, so that alerts can name it. */
export const NAME_KEPT_MS = 86_400_000

export function isAlive(ageMs: number, everyMs: number): boolean {
  return ageMs <= BEATS_MISSED * everyMs
}

/** What a backend stores about a run, next to the position itself. */
export interface RunRecord {
  readonly sequence: number
  /** The broker instance that published it, and the id of that batch ('' when there was none). */
  readonly publisher: string
  readonly batchId: string
}

/** A step of a run that is to be published. */
export interface RunStep extends RunRecord {
  readonly run: string
  /** Whether this publisher has stored a step of this run before. */
  readonly hasPublished: boolean
}

/**
 * Whether a step of a run is new or stored already.
 *
 * A step is a repeat when its sequence was stored by this publisher, or by the one that it replaces after a crash. Two
 * publishers that run at once are an error: otherwise a batch of one would silently stand for a batch of the other.
 * @throws UsageError `run_taken` for two publishers, and for a step that leaves a gap
 */
export function checkRunStep(stored: RunRecord | undefined, step: RunStep): 'new' | 'repeat' {
  const last = stored?.sequence ?? 0
  if (step.sequence > last + 1) {
    throw taken(
      step,
      `the broker holds ${last} batches of it and was given number ${step.sequence}. Either another emitter has ` +
        'started the run again or the broker lost its last writes; start this emitter again to continue from what is stored',
    )
  }
  if (step.sequence === last + 1) return 'new'
  if (stored === undefined || stored.publisher === step.publisher) return 'repeat'
  const replaces = !step.hasPublished && (step.sequence < last || stored.batchId === step.batchId)
  if (replaces) return 'repeat'
  throw taken(
    step,
    `another emitter has published number ${last} of it. Stop one of them, or give one another --run`,
  )
}

function taken(step: RunStep, why: string): UsageError {
  return new UsageError('run_taken', `run ${step.run} cannot continue: ${why}`)
}
