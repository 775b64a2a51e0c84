import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import type { EvaluatedChunk } from './evaluate.ts'

/** A file in the form that the Kaggle challenge takes: `event_id,azimuth,zenith`, radians. */
export interface SubmissionFile extends AsyncDisposable {
  write(chunk: EvaluatedChunk): Promise<void>
  /** Gives the file its name; disposing of it before that leaves no trace. */
  finish(): Promise<void>
}

/**
 * Events without a direction are written as straight down-going, because the challenge takes no gaps.
 * The file appears under its name only when it is whole.
 */
export async function openSubmission(path: string): Promise<SubmissionFile> {
  const partial = `${path}.partial`
  const file: FileHandle = await open(partial, 'w')
  await file.write('event_id,azimuth,zenith\n')
  let isFinished = false
  return {
    async write({ eventIds, azimuth, zenith }) {
      const lines = Array.from(eventIds, (id, index) => {
        const isMissing = Number.isNaN(azimuth[index])
        return `${id},${isMissing ? 0 : azimuth[index]},${isMissing ? 0 : zenith[index]}\n`
      })
      await file.write(lines.join(''))
    },
    async finish() {
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
