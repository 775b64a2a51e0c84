import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import type { EvaluatedChunk } from './evaluate.ts'

/** A file in the form that the Kaggle challenge takes: `event_id,azimuth,zenith`, radians. */
export interface SubmissionFile extends AsyncDisposable {
  write(chunk: EvaluatedChunk): Promise<void>
  /**
   * Adds those of the `listed` events that were not written, because they have no pulses or could not be read, and gives
   * the file its name; disposing of it before that leaves no trace.
   */
  finish(listed?: BigInt64Array): Promise<void>
}

/**
 * Events without a direction are written as straight down-going, because the challenge takes no gaps; an id that comes
 * again is left out, because it takes no id twice.
 * The file appears under its name only when it is whole.
 */
export async function openSubmission(path: string): Promise<SubmissionFile> {
  const partial = `${path}.partial`
  const file: FileHandle = await open(partial, 'w')
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
    async finish(listed = new BigInt64Array(0)) {
      const none = new Float64Array(listed.length).fill(Number.NaN)
      await write({ eventIds: listed, azimuth: none, zenith: none })
      await file.close()
      await rename(partial, path)
      isFinished = true
    },
    async [Symbol.asyncDispose]() {
      if (isFinished) return
      await file.close()
      await rm(partial, { force: true })
    },
  }
}
