import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { Truth } from '../event/event-batch.ts'
import { type DuckDb, openDuckDb } from '../formats/parquet/duckdb.ts'
import type { FilePlace } from './event-assembler.ts'
import { readFileEvents } from './read-file.ts'
import { fromStoredPlace, readResume, storedPlace, toStoredPlace } from './resume.ts'
import type { SourceChunk, SourceReadOptions } from './source.ts'

export interface ListedFile {
  /** What resume strings call it: stays the same when the folder moves. */
  readonly name: string
  readonly path: string
}

export interface FileList {
  readonly spec: string
  readonly files: readonly ListedFile[]
  /** Where the events of a file come from, when that is known. */
  readonly loadTruth?: (
    db: DuckDb,
    file: ListedFile,
  ) => Promise<((eventIds: BigInt64Array) => Truth) | undefined>
}

const resumeSchema = z.union([
  z.strictObject({ in: z.string(), bytes: z.int(), ...storedPlace.shape }),
  z.strictObject({ after: z.string() }),
])
type Resume = z.infer<typeof resumeSchema>

/** Events of the files, one file after the other. A chunk never spans two files. */
export async function* readFileList(list: FileList, options: SourceReadOptions): AsyncGenerator<SourceChunk> {
  const { eventsMax, signal } = options
  const db = await openDuckDb()
  try {
    const start =
      options.resume === undefined ? undefined : readResume(resumeSchema, options.resume, list.spec)
    let place = start && 'in' in start ? fromStoredPlace(start) : undefined
    for (const file of list.files.slice(await findStart(list, start))) {
      const { size } = await stat(file.path)
      const truthOf = await list.loadTruth?.(db, file)
      for await (const chunk of readFileEvents(db, file.path, { eventsMax, place, truthOf })) {
        if (signal.aborted) return
        yield { events: chunk.events, rejected: chunk.rejected, resume: toResume(file, size, chunk.next) }
      }
      place = undefined
      if (signal.aborted) return
    }
  } finally {
    db.closeSync()
  }
}

function toResume(file: ListedFile, bytes: number, next: FilePlace | undefined): string {
  const resume: Resume = next ? { in: file.name, bytes, ...toStoredPlace(next) } : { after: file.name }
  return JSON.stringify(resume)
}

/** Index of the file to begin with. @throws UsageError where the file that was being read is gone or another */
async function findStart({ spec, files }: FileList, start: Resume | undefined): Promise<number> {
  if (!start) return 0
  const name = 'in' in start ? start.in : start.after
  const index = files.findIndex((file) => file.name === name)
  const remedy = 'put it back, or begin another run with --run NAME'
  if (index < 0)
    throw new UsageError('source_missing', `${spec}: the run stopped in ${name}, which is gone; ${remedy}`)
  if (!('in' in start)) return index + 1
  const { size } = await stat(files[index].path)
  if (size !== start.bytes) {
    const message = `${spec}: the run stopped in ${name}, which had ${start.bytes} bytes and has ${size} now; ${remedy}`
    throw new UsageError('source_unreadable', message)
  }
  return index
}
