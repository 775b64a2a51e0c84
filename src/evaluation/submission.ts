import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { UsageError } from '../errors.ts'
import type { EventListing } from '../source/source.ts'
import type { EvaluatedChunk } from './evaluate.ts'

/** A submission file of the Kaggle challenge: `event_id,azimuth,zenith`, radians. */
export interface SubmissionFile extends AsyncDisposable {
  write(chunk: EvaluatedChunk): Promise<void>
  /**
   * Adds the `listed` events that were not written because they have no pulses, and renames the file to its final name;
   * disposal before that leaves no file. Returns a sentence that says why listed events were left out, if any were.
   */
  finish(listed?: EventListing): Promise<string | undefined>
}

/**
 * Checks, before hours of work, that a submission can be written to `path`.
 * @throws UsageError `flag_invalid` if the path is a folder or is not writable
 */
export async function checkSubmission(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) throw unwritable(path, 'it is a folder')
  await using _ = await openSubmission(path)
}

/**
 * Events without a direction are written as straight down-going, since the challenge requires every event. Repeated ids
 * are written once.
 * The file gets its final name only when it is complete.
 * @throws UsageError `flag_invalid` if it cannot be written
 */
export async function openSubmission(path: string): Promise<SubmissionFile> {
  const partial = `${path}.partial`
  const file: FileHandle = await open(partial, 'w').catch((cause: Error) => {
    throw unwritable(path, cause.message, cause)
  })
  await file.write('event_id,azimuth,zenith\n')
  const written = new Set<bigint>()
  let isFinished = false
  const write = async ({ eventIds, azimuth, zenith }: EvaluatedChunk): Promise<void> => {
    let lines = ''
    for (const [index, id] of eventIds.entries()) {
      if (written.has(id)) continue
      written.add(id)
      lines += Number.isNaN(azimuth[index]) ? `${id},0,0\n` : `${id},${azimuth[index]},${zenith[index]}\n`
    }
    await file.write(lines)
  }
  return {
    write,
    async finish(listed) {
      const { missing, note } = listed ? missingOf(listed, written) : NOTHING_MISSING
      const none = new Float64Array(missing.length).fill(Number.NaN)
      await write({ eventIds: missing, azimuth: none, zenith: none })
      await file.close()
      await rename(partial, path)
      isFinished = true
      return note
    },
    async [Symbol.asyncDispose]() {
      if (isFinished) return
      await file.close()
      await rm(partial, { force: true })
    },
  }
}

interface Missing {
  readonly missing: BigInt64Array
  readonly note?: string
}

const NOTHING_MISSING: Missing = { missing: new BigInt64Array(0) }

/**
 * Listed events that belong in the file although they were not read. Regrouped files hold other events than the listing
 * assigns to them: the remaining listed events are then in other files and have no row here.
 */
function missingOf({ eventIds, hasPulses }: EventListing, written: ReadonlySet<bigint>): Missing {
  const listed = new Set(eventIds)
  const foreign = [...written].filter((id) => !listed.has(id)).length
  if (foreign > 0) {
    const note = `${foreign} of ${written.size} events are listed for other files: the submission has the events of these files alone`
    return { ...NOTHING_MISSING, note }
  }
  const isWithout = (i: number) => !written.has(eventIds[i]) && hasPulses[i] === 0
  const missing = eventIds.filter((_, i) => isWithout(i))
  const lost = listed.size - written.size - new Set(missing).size
  if (lost === 0) return { missing }
  return {
    missing,
    note: `${lost} listed events have pulses and are in no file: the submission leaves them out`,
  }
}

function unwritable(path: string, why: string, cause?: Error): UsageError {
  const message = `--submission ${path} cannot be written (${why}); name a file in a folder that can be written to`
  return new UsageError('flag_invalid', message, { cause })
}
