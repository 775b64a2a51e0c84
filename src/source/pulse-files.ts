import { existsSync } from 'node:fs'
import { glob, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { Truth } from '../event/event-batch.ts'
import { type DuckDb, openDuckDb } from '../formats/parquet/duckdb.ts'
import { countRows, readEventIds, readPulses } from '../formats/parquet/read.ts'
import { checkGeometryBeside, SensorCheck } from './detector-check.ts'
import { EventAssembler, type FileChunk, type FilePlace, SeenIds } from './event-assembler.ts'
import { compareNatural, type EventSource, type SourceChunk, type SourceReadOptions } from './source.ts'

/**
 * Pulse files alone, without truth, in the order given; what a pattern such as `night/*.parquet` finds comes in the
 * order of its numbers. A name that exists as it stands is never taken for a pattern or a list.
 * @throws UsageError `source_missing` naming what was not found
 */
export async function openParquetFiles(spec: string, list: string, onNotice: Notice): Promise<EventSource> {
  const files: ListedFile[] = []
  for (const path of await expandList(list, 'parquet')) files.push({ name: path, path })
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) await checkGeometryBeside(folder)
  return {
    spec,
    count: () => countEvents(files.map(({ path }) => path)),
    read: (options) => readFileList({ spec, files, onNotice }, options),
  }
}

/** Files of a list of names and patterns, as `openParquetFiles` takes it; `kind` is the source's, for messages. */
export async function expandList(list: string, kind: string): Promise<string[]> {
  if (list !== '' && existsSync(list)) return [resolve(list)]
  const paths: string[] = []
  for (const part of list.split(',').filter((name) => name !== ''))
    paths.push(...(await expandPart(part, kind)))
  if (paths.length > 0) return [...new Set(paths)]
  throw new UsageError('source_missing', `${kind}: needs at least one file, such as ${kind}:FILE`)
}

async function expandPart(part: string, kind: string): Promise<string[]> {
  if (existsSync(part)) return [resolve(part)]
  const found = /[*?[{]/.test(part) ? await Array.fromAsync(glob(part)) : []
  if (found.length === 0) throw new UsageError('source_missing', `${kind}: ${resolve(part)}: no such file`)
  return found.map((name) => resolve(name)).toSorted(compareNatural)
}

/** A place in a file as it is written into a resume string. */
export const storedPlace = z.strictObject({
  row: z.int().min(0),
  /** A 64-bit number, which JSON's numbers cannot hold. */
  highestId: z
    .string()
    .regex(/^-?\d+$/)
    .optional(),
})
export type StoredPlace = z.infer<typeof storedPlace>

export function toStoredPlace({ row, highestId }: FilePlace): StoredPlace {
  return { row, ...(highestId !== undefined && { highestId: String(highestId) }) }
}

export function fromStoredPlace({ row, highestId }: StoredPlace): FilePlace {
  return { row, highestId: highestId === undefined ? undefined : BigInt(highestId) }
}

/** Reads a resume string by its schema. @throws UsageError where it is not one of this kind of source */
export function readResume<T>(schema: z.ZodType<T>, resume: string, spec: string): T {
  try {
    return schema.parse(JSON.parse(resume))
  } catch (cause) {
    const message = `the position "${resume.slice(0, 200)}" is not one of ${spec}; begin another run with --run NAME`
    throw new UsageError('source_unreadable', message, { cause })
  }
}

export interface ListedFile {
  /** What resume strings call it: stays the same when the folder moves. */
  readonly name: string
  readonly path: string
}

export interface FileList {
  readonly spec: string
  readonly files: readonly ListedFile[]
  /** Where the events of a file come from, when that is known. */
  readonly loadTruth?: (db: DuckDb, file: ListedFile) => Promise<FileTruth>
  readonly onNotice: Notice
}

/** Told in a sentence of what a user should know, and what is no error. */
export type Notice = (message: string) => void

/** Truth of the events of one file. */
export interface FileTruth {
  of(eventIds: BigInt64Array): Promise<Truth>
  /** All events of the file have been asked for. */
  end(): void
}

const resumeSchema = z.union([
  z.strictObject({ in: z.string(), bytes: z.int(), ...storedPlace.shape }),
  z.strictObject({ after: z.string() }),
])
type Resume = z.infer<typeof resumeSchema>

/** Events of the files, one file after the other. A chunk never spans two files. */
export async function* readFileList(list: FileList, options: SourceReadOptions): AsyncGenerator<SourceChunk> {
  const { eventsMax, signal } = options
  const { onNotice } = list
  const db = await openDuckDb()
  try {
    const start =
      options.resume === undefined ? undefined : readResume(resumeSchema, options.resume, list.spec)
    let place = start && 'in' in start ? fromStoredPlace(start) : undefined
    for (const file of list.files.slice(await findStart(list, start))) {
      const { size } = await stat(file.path)
      const truth = await list.loadTruth?.(db, file)
      for await (const chunk of readFileEvents(db, file.path, { eventsMax, place, onNotice })) {
        if (signal.aborted) return
        const { eventIds } = chunk.events
        const events = truth ? { ...chunk.events, truth: await truth.of(eventIds) } : chunk.events
        yield { events, rejected: chunk.rejected, resume: toResume(file, size, chunk.next) }
      }
      truth?.end()
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

export interface ReadFileOptions {
  readonly eventsMax: number
  /** From a chunk's `next`; undefined begins at the first row. */
  readonly place?: FilePlace | undefined
  readonly onNotice: Notice
}

/**
 * Events of one pulse file in order. When reading breaks off, what was complete comes before the error.
 * @throws UsageError `source_missing`, `source_unreadable`
 */
export async function* readFileEvents(
  db: DuckDb,
  file: string,
  { eventsMax, place, onNotice }: ReadFileOptions,
): AsyncGenerator<FileChunk> {
  const seen = new SeenIds((toRow) => readEventIds(db, file, toRow), place?.highestId)
  const assembler = new EventAssembler({ file, eventsMax, seen })
  const check = new SensorCheck()
  // The first events are held back until it is clear that they are of this detector.
  let held: FileChunk[] | undefined = []
  const release = () => {
    const doubt = check.judge(file)
    if (doubt) onNotice(doubt)
    const released = held ?? []
    held = undefined
    return released
  }
  try {
    for await (const rows of readPulses(db, file, place?.row)) {
      if (held) check.add(rows)
      for await (const chunk of assembler.add(rows)) {
        if (held) held.push(chunk)
        else yield chunk
      }
      if (held && check.isComplete) yield* release()
    }
    if (held) yield* release()
  } catch (error) {
    if (check.isRefused) throw error
    yield* held ?? []
    const complete = assembler.breakOff()
    if (complete) yield complete
    throw error
  }
  const last = assembler.end()
  if (last) yield last
}

/** Some seconds of reading event ids; beyond it a count is not worth its wait. */
const ROWS_MAX = 100_000_000

/** Events of the pulse files, or undefined where they are too large to be counted quickly. */
export async function countEvents(paths: readonly string[]): Promise<number | undefined> {
  const db = await openDuckDb()
  try {
    const rows: number[] = []
    let total = 0
    for (const path of paths) {
      rows.push(await countRows(db, path))
      total += rows[rows.length - 1]
      if (total > ROWS_MAX) return undefined
    }
    let events = 0
    for (const [i, path] of paths.entries()) {
      for await (const _id of readEventIds(db, path, rows[i])) events++
    }
    return events
  } finally {
    db.closeSync()
  }
}
