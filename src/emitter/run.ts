import { z } from 'zod'
import type { LostStep, RunPosition } from '../broker/contract.ts'
import { UsageError } from '../errors.ts'
import { faultOfName, NAME_BYTES_MAX } from '../event/limits.ts'

/** A place between two events of a source. */
export interface EventPlace {
  /** Times that the source has been begun before, in this run. */
  readonly pass: number
  /** Resume string of the source; undefined is its beginning. */
  readonly at: string | undefined
  /** Readable events after `at` that are emitted already. */
  readonly skip: number
}

/** Where an emission begins. */
export interface RunStart {
  readonly run: string
  readonly how: 'new' | 'resumed' | 'again' | 'finished'
  readonly place: EventPlace
  /** Batches published so far. Goes on through all runs of a name, so a batch id never comes twice. */
  readonly sequence: number
  readonly emitted: number
}

const schema = z.strictObject({
  source: z.string(),
  pass: z.int().min(0),
  at: z.string().optional(),
  skip: z.int().min(0),
  chunk: z.int().min(1).optional(),
})

/** Batch ids are the run's name, a colon and the number of the batch, which has at most 16 digits. */
const RUN_BYTES_MAX = NAME_BYTES_MAX - 17

/** @throws UsageError `flag_invalid` where the batches of a run could not be named after it */
export function checkRunName(run: string): void {
  const fault = run.isWellFormed() ? faultOfName(Buffer.from(run)) : 'is not UTF-8'
  const bytes = Buffer.byteLength(run)
  if (fault === undefined && bytes <= RUN_BYTES_MAX) return
  const what = fault === undefined ? `has ${bytes} bytes; at most ${RUN_BYTES_MAX} are allowed` : fault
  const message = `the name of the run ${what}; give this emission a shorter name with --run`
  throw new UsageError('flag_invalid', message)
}

/** Before the first event of a source. */
export const BEGINNING: EventPlace = { pass: 0, at: undefined, skip: 0 }

/**
 * An unfinished run continues where it stopped. A finished run stays finished when it was given a name, and otherwise
 * starts again under the same name with higher batch numbers.
 * @throws UsageError `flag_invalid` when the name belongs to a run of another source
 */
export function toRunStart(
  stored: RunPosition | undefined,
  { run, spec, isNamed }: { run: string; spec: string; isNamed: boolean },
): RunStart {
  if (!stored) return { run, how: 'new', place: BEGINNING, sequence: 0, emitted: 0 }
  const { sequence, emitted } = stored
  const { source, pass, at, skip } = readPlace(stored)
  if (source !== spec) {
    const message = `run ${run} reads ${source}, not ${spec}; give this emission another name with --run`
    throw new UsageError('flag_invalid', message)
  }
  if (!stored.done) return { run, how: 'resumed', place: { pass, at, skip }, sequence, emitted }
  if (isNamed) return { run, how: 'finished', place: { pass, at, skip }, sequence, emitted }
  return { run, how: 'again', place: BEGINNING, sequence, emitted: 0 }
}

/** The resume string that the broker keeps with a batch, for a source that is read in chunks of so many events. */
export function toStoredPlace(spec: string, { pass, at, skip }: EventPlace, chunk: number): string {
  return JSON.stringify({ source: spec, pass, at, skip, chunk } satisfies z.infer<typeof schema>)
}

/** The events of one step. */
export interface StepPlace {
  readonly place: EventPlace
  /** Events, rejected ones included. */
  readonly events: number
  /** The chunks that the source was read in: rejected events travel with the batch that completes their chunk. */
  readonly chunkEvents: number | undefined
}

/** Where in the source the events of a step lay that the broker has lost. */
export function toStepPlace({ before, position }: LostStep): StepPlace {
  const { chunk } = readPlace(position)
  // After the end the source was begun anew.
  if (before === undefined || before.done)
    return { place: BEGINNING, events: position.emitted, chunkEvents: chunk }
  const { pass, at, skip } = readPlace(before)
  return { place: { pass, at, skip }, events: position.emitted - before.emitted, chunkEvents: chunk }
}

function readPlace(stored: RunPosition): z.infer<typeof schema> {
  try {
    return schema.parse(JSON.parse(stored.resume))
  } catch (cause) {
    const message = `run ${stored.run} was not left by an emitter of this version; give this emission another name with --run`
    throw new UsageError('flag_invalid', message, { cause })
  }
}
