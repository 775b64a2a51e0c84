import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { UsageError } from '../errors.ts'
import type { Truth } from '../event/event-batch.ts'
import { type DuckDb, openDuckDb } from '../formats/parquet/duckdb.ts'
import {
  countMetaEvents,
  type Meta,
  readListing,
  readTruthOfBatch,
  readTruthOfFile,
  type TruthTable,
} from '../formats/parquet/read-meta.ts'
import { checkGeometryBeside } from './detector-check.ts'
import { countEvents, type FileTruth, type ListedFile, type Notice, readFileList } from './pulse-files.ts'
import { compareNatural, type EventSource } from './source.ts'

const BATCH_FILE = /^batch_(\d+)\.parquet$/

/**
 * The competition's layout: `train/batch_1.parquet` … (otherwise `test/…`) in the order of their numbers, truth from
 * `train_meta.parquet` or from the files of a folder `train_meta`, `sensor_geometry.csv` checked where it is there. The
 * folder `train` or `test` itself may be given too.
 *
 * An event that only `train_meta.parquet` lists has no pulses, so it is not in the stream.
 * @throws UsageError `source_missing`, `source_unreadable`
 */
export async function openKaggle(spec: string, folder: string, onNotice: Notice): Promise<EventSource> {
  const { root, part, files } = await findBatchFiles(resolve(folder))
  await checkGeometryBeside(root)
  const meta = await findMeta(root, part)
  if (part !== 'test' && !meta)
    onNotice(
      `${root} has neither ${part}_meta.parquet nor ${part}_meta/batch_N.parquet: events have no truth`,
    )
  return {
    spec,
    count: async () => {
      const counted = await countEvents(files.map(({ path }) => path))
      return counted ?? (meta && (await askMeta(countMetaEvents, meta, files)))
    },
    listed: async () => meta && askMeta(readListing, meta, files),
    read: (options) => {
      const list = { spec, files, onNotice }
      if (!meta || part === 'test') return readFileList(list, options)
      const loadTruth = async (db: DuckDb, file: ListedFile) => new TruthLookup({ db, meta, file, onNotice })
      return readFileList({ ...list, loadTruth }, options)
    },
  }
}

/** `train_meta.parquet`, or the files in `train_meta`: the competition's file is too large for many machines. */
async function findMeta(root: string, part: string): Promise<Meta | undefined> {
  const path = join(root, `${part}_meta.parquet`)
  if (existsSync(path)) return { path, files: [{ path, batchId: undefined }] }
  const folder = join(root, `${part}_meta`)
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.parquet'))
  if (names.length === 0) return undefined
  const files = names
    .toSorted(compareNatural)
    .map((name) => ({ path: join(folder, name), batchId: numberOf(name) }))
  return { path: folder, files }
}

interface TruthLookupOptions {
  readonly db: DuckDb
  readonly meta: Meta
  readonly file: ListedFile
  readonly onNotice: Notice
}

/**
 * The truth of one pulse file's events. That of the batch with the file's number is loaded first. When an event is not in
 * it, the files were put together anew, and the events' ids are searched in all of the truth.
 */
class TruthLookup implements FileTruth {
  readonly #options: TruthLookupOptions
  #table: TruthTable | undefined
  #isComplete = false
  /** Where the next event is found, mostly. */
  #hint = 0
  #events = 0
  #notFound = 0

  constructor(options: TruthLookupOptions) {
    this.#options = options
  }

  async of(eventIds: BigInt64Array): Promise<Truth> {
    const { db, meta, file } = this.#options
    if (!this.#table) {
      const batchId = numberOf(file.path)
      this.#table = batchId === undefined ? undefined : await readTruthOfBatch(db, meta, batchId)
    }
    if (!this.#isComplete && !(this.#table && hasAll(this.#table, eventIds))) {
      this.#table = await readTruthOfFile(db, meta, file.path)
      this.#isComplete = true
    }
    return this.#lookUp(this.#table ?? NO_TRUTH, eventIds)
  }

  end(): void {
    const { meta, file, onNotice } = this.#options
    if (this.#notFound === 0) return
    onNotice(
      `${file.path}: ${this.#notFound} of ${this.#events} events are not in ${meta.path}, they have no truth`,
    )
  }

  #lookUp(table: TruthTable, eventIds: BigInt64Array): Truth {
    const azimuth = new Float64Array(eventIds.length).fill(Number.NaN)
    const zenith = azimuth.slice()
    const topology = table.topology && new Uint8Array(eventIds.length)
    for (const [i, id] of eventIds.entries()) {
      if (table.eventIds[this.#hint] !== id) this.#hint = lowerBound(table.eventIds, id)
      if (table.eventIds[this.#hint] !== id) {
        this.#notFound++
        continue
      }
      azimuth[i] = table.azimuth[this.#hint]
      zenith[i] = table.zenith[this.#hint]
      if (topology && table.topology) topology[i] = table.topology[this.#hint]
      this.#hint++
    }
    this.#events += eventIds.length
    return { azimuth, zenith, ...(topology && { topology }) }
  }
}

const NO_TRUTH: TruthTable = {
  eventIds: new BigInt64Array(0),
  azimuth: new Float64Array(0),
  zenith: new Float64Array(0),
}

function hasAll({ eventIds }: TruthTable, wanted: BigInt64Array): boolean {
  return wanted.every((id) => eventIds[lowerBound(eventIds, id)] === id)
}

/** Index of the first id that is not below `id`. */
function lowerBound(ids: BigInt64Array, id: bigint): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ids[middle] < id) low = middle + 1
    else high = middle
  }
  return low
}

async function findBatchFiles(folder: string): Promise<{ root: string; part: string; files: ListedFile[] }> {
  const found = await stat(folder).catch((cause: unknown) => {
    throw new UsageError('source_missing', `${folder}: no such folder`, { cause })
  })
  if (!found.isDirectory())
    throw new UsageError('source_missing', `${folder} is a file; try parquet:${folder}`)
  for (const part of ['train', 'test']) {
    const files = await listBatches(join(folder, part), part)
    if (files.length > 0) return { root: folder, part, files }
  }
  const part = basename(folder)
  const files = await listBatches(folder, part)
  if (files.length > 0) return { root: dirname(folder), part, files }
  const names = (await readdir(folder)).toSorted(compareNatural)
  const holds = names.length > 0 ? `it holds ${names.slice(0, 10).join(', ')}` : 'it is empty'
  const message = `${folder} has no train/batch_1.parquet or test/batch_1.parquet; ${holds}`
  throw new UsageError('source_missing', message)
}

async function listBatches(folder: string, part: string): Promise<ListedFile[]> {
  const names = await readdir(folder).catch(() => [])
  return names
    .filter((name) => BATCH_FILE.test(name))
    .toSorted(compareNatural)
    .map((name) => ({ name: `${part}/${name}`, path: join(folder, name) }))
}

/** N of `batch_N.parquet`. */
function numberOf(path: string): number | undefined {
  const digits = BATCH_FILE.exec(basename(path))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** What the meta files say of the batches; a few of the events that they list may have no pulses. */
async function askMeta<T>(
  question: (db: DuckDb, meta: Meta, batchIds: readonly number[]) => Promise<T>,
  meta: Meta,
  files: readonly ListedFile[],
): Promise<T> {
  const db = await openDuckDb()
  try {
    const batchIds = files.map(({ path }) => numberOf(path)).filter((id) => id !== undefined)
    return await question(db, meta, batchIds)
  } finally {
    db.closeSync()
  }
}
