import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { z } from 'zod'
import { sleep } from '../async/deadline.ts'
import { UsageError } from '../errors.ts'
import { type DuckDb, openDuckDb } from '../formats/parquet/duckdb.ts'
import { checkGeometryBeside } from './detector-check.ts'
import type { FilePlace } from './event-assembler.ts'
import { fromStoredPlace, readFileEvents, readResume, storedPlace, toStoredPlace } from './pulse-files.ts'
import type { EventSource, SourceChunk, SourceReadOptions } from './source.ts'
import { type WatchedFile, WatchFolder } from './watch-folder.ts'

/** What became of one file of a watched folder. */
export interface FileFate {
  readonly name: string
  /** Undefined for a file that was emitted whole. */
  readonly error: Error | undefined
}

export interface WatchOptions {
  /** Pause between two looks at the folder. */
  readonly pollMs?: number
  readonly settleMs?: number
  readonly brokenAfterMs?: number
  /** Told of each file once; a broken one again when it has changed and is still broken. */
  readonly onFile?: (fate: FileFate) => void
  /** The folder cannot be listed any more; it is looked for until it is back. */
  readonly onAway?: (error: Error) => void
  /** Told of what a user should know of a file that is emitted. */
  readonly onNotice?: (message: string) => void
}

/**
 * Each Parquet file that appears whole in the folder, in the order of appearance, endless. A file is remembered by
 * name, size, footer and samples of its data, across restarts in the resume string (12 bytes a file): one that is touched is not emitted
 * again, one that is replaced by another of the same name is. A broken file does not stop the stream.
 * @throws UsageError `source_missing` when there is no such folder now
 */
export async function openWatch(
  spec: string,
  folder: string,
  options: WatchOptions = {},
): Promise<EventSource> {
  const path = resolve(folder)
  const found = await stat(path).catch((cause: unknown) => {
    throw new UsageError('source_missing', `watch: ${path}: no such folder`, { cause })
  })
  if (!found.isDirectory()) {
    throw new UsageError('source_missing', `watch: ${path} is a file; try parquet:${folder}`)
  }
  await checkGeometryBeside(path)
  return {
    spec,
    count: async () => undefined,
    read: (readOptions) => watch({ spec, path, options }, readOptions),
  }
}

interface Watch {
  readonly spec: string
  readonly path: string
  readonly options: WatchOptions
}

async function* watch(
  { spec, path, options }: Watch,
  { eventsMax, resume, signal }: SourceReadOptions,
): AsyncGenerator<SourceChunk> {
  const { pollMs = 250, settleMs = 500, brokenAfterMs = 10_000, onFile, onAway } = options
  const onNotice = options.onNotice ?? (() => {})
  const memory = new WatchMemory(resume, spec)
  const folder = new WatchFolder(path, { settleMs, brokenAfterMs })
  const db = await openDuckDb()
  let isAway = false
  try {
    while (!signal.aborted) {
      const { whole, broken } = await folder.scan().catch((error: Error) => {
        // It may come back with its disk.
        if (!isAway) onAway?.(error)
        isAway = true
        return { whole: [], broken: [] }
      })
      if (isAway) isAway = await isMissing(path)
      for (const name of broken) onFile?.({ name, error: noFooter(name) })
      memory.prune(new Set(whole.map(({ print }) => print)))
      const waiting = whole.filter(({ print }) => !memory.isDone(print))
      for (const file of waiting) {
        if (!(await folder.isStill(file))) continue
        const error = yield* readWhole({ db, file, memory, eventsMax, signal, onNotice })
        if (signal.aborted) return
        if (error) folder.setBroken(file.name)
        onFile?.({ name: file.name, error })
      }
      if (waiting.length === 0) await sleep(pollMs, signal)
    }
  } finally {
    db.closeSync()
  }
}

async function isMissing(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => !found.isDirectory(),
    () => true,
  )
}

interface WholeFile {
  readonly db: DuckDb
  readonly file: WatchedFile
  readonly memory: WatchMemory
  readonly eventsMax: number
  readonly signal: AbortSignal
  readonly onNotice: (message: string) => void
}

/** Chunks of one file; returns what stopped them, if anything did. */
async function* readWhole({
  db,
  file,
  memory,
  eventsMax,
  signal,
  onNotice,
}: WholeFile): AsyncGenerator<SourceChunk, Error | undefined> {
  const { print, path } = file
  try {
    for await (const chunk of readFileEvents(db, path, { eventsMax, place: memory.place(print), onNotice })) {
      if (signal.aborted) return undefined
      memory.note(print, chunk.next)
      yield { events: chunk.events, rejected: chunk.rejected, resume: memory.toResume() }
    }
    // A file without rows gives no chunk.
    memory.note(print, undefined)
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function noFooter(name: string): UsageError {
  return new UsageError(
    'source_unreadable',
    `${name}: not a whole Parquet file (truncated, or still being written)`,
  )
}

/** Finished files remembered although they are no longer in the folder: they may come back with their disk. */
const ABSENT_MAX = 10_000

const schema = z.strictObject({
  done: z.array(z.string()),
  begun: z.record(z.string(), storedPlace),
})

/** Which files of a watched folder are finished and how far others are read, by fingerprint. */
export class WatchMemory {
  readonly #done: Set<string>
  readonly #begun: Map<string, FilePlace>

  constructor(resume: string | undefined, spec: string) {
    const stored = resume === undefined ? { done: [], begun: {} } : readResume(schema, resume, spec)
    this.#done = new Set(stored.done)
    this.#begun = new Map(
      Object.entries(stored.begun).map(([print, place]) => [print, fromStoredPlace(place)]),
    )
  }

  isDone(print: string): boolean {
    return this.#done.has(print)
  }

  place(print: string): FilePlace | undefined {
    return this.#begun.get(print)
  }

  /** The file is read up to `next`, or to its end. */
  note(print: string, next: FilePlace | undefined): void {
    if (next) this.#begun.set(print, next)
    else {
      this.#begun.delete(print)
      this.#done.add(print)
    }
  }

  /** Forgets the oldest files that are in the folder no more, where they are too many. */
  prune(present: ReadonlySet<string>): void {
    let absent = [...this.#done].filter((print) => !present.has(print)).length
    for (const print of this.#done) {
      if (absent <= ABSENT_MAX) break
      if (present.has(print)) continue
      this.#done.delete(print)
      absent--
    }
  }

  toResume(): string {
    const begun = Object.fromEntries([...this.#begun].map(([print, place]) => [print, toStoredPlace(place)]))
    return JSON.stringify({ done: [...this.#done], begun } satisfies z.infer<typeof schema>)
  }
}
