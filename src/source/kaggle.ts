import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { UsageError } from '../errors.ts'
import type { Truth } from '../event/event-batch.ts'
import { SENSOR_COUNT, sensorPositions } from '../event/sensors.ts'
import { type DuckDb, openDuckDb } from '../formats/parquet/duckdb.ts'
import { countMetaEvents, readMetaIds, readTruth, type TruthTable } from '../formats/parquet/read-meta.ts'
import { countEvents, type ListedFile, readFileList } from './pulse-files.ts'
import { compareNatural, type EventSource } from './source.ts'

const BATCH_FILE = /^batch_(\d+)\.parquet$/

/**
 * The competition's layout: `train/batch_1.parquet` … (otherwise `test/…`) in the order of their numbers, truth from
 * `train_meta.parquet` where it is there, `sensor_geometry.csv` checked where it is there. The folder `train` or `test`
 * itself may be given too.
 *
 * An event that only `train_meta.parquet` lists has no pulses, so it is not in the stream.
 * @throws UsageError `source_missing`, `source_unreadable`
 */
export async function openKaggle(spec: string, folder: string): Promise<EventSource> {
  const { root, part, files } = await findBatchFiles(resolve(folder))
  const geometry = join(root, 'sensor_geometry.csv')
  if (existsSync(geometry)) await checkGeometry(geometry)
  const metaFile = join(root, 'train_meta.parquet')
  const hasTruth = part !== 'test' && existsSync(metaFile)
  return {
    spec,
    count: async () => {
      const counted = await countEvents(files.map(({ path }) => path))
      return counted ?? (hasTruth ? await askMeta(countMetaEvents, metaFile, files) : undefined)
    },
    listed: async () => {
      const listing = join(root, `${part}_meta.parquet`)
      return existsSync(listing) ? await askMeta(readMetaIds, listing, files) : undefined
    },
    read: (options) =>
      readFileList(
        {
          spec,
          files,
          ...(hasTruth && {
            loadTruth: async (db, { path }) =>
              createTruthLookup(await readTruth(db, { metaFile, pulseFile: path, batchId: batchIdOf(path) })),
          }),
        },
        options,
      ),
  }
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

function batchIdOf(path: string): number | undefined {
  const digits = BATCH_FILE.exec(basename(path))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** What a meta file says of the batches; a few of the events that it lists may have no pulses. */
async function askMeta<T>(
  question: (db: DuckDb, metaFile: string, batchIds: readonly number[]) => Promise<T>,
  metaFile: string,
  files: readonly ListedFile[],
): Promise<T> {
  const db = await openDuckDb()
  try {
    const batchIds = files.map(({ path }) => batchIdOf(path)).filter((id) => id !== undefined)
    return await question(db, metaFile, batchIds)
  } finally {
    db.closeSync()
  }
}

/** Published coordinates are given to 1 cm; half a millimetre more for the rounding of float32. */
const TOLERANCE_M = 0.0105

/**
 * Checks that a data set's `sensor_geometry.csv` (sensor_id, x, y, z in metres) is the detector that nustream knows.
 * @throws UsageError `source_unreadable` naming the first sensor that is missing or elsewhere
 */
export async function checkGeometry(file: string): Promise<void> {
  const [header, ...lines] = (await readFile(file, 'utf8')).trim().split(/\r?\n/)
  const names = header.split(',').map((name) => name.trim().replaceAll('"', ''))
  const columns = ['sensor_id', 'x', 'y', 'z'].map((name) => names.indexOf(name))
  if (columns.includes(-1)) {
    throw wrong(file, `has columns ${names.join(', ')}; it should have sensor_id, x, y, z`)
  }
  const seen = new Uint8Array(SENSOR_COUNT)
  for (const line of lines) {
    const fields = line.split(',')
    const [id, ...position] = columns.map((column) => Number.parseFloat(fields[column]))
    if (!(Number.isInteger(id) && id >= 0 && id < SENSOR_COUNT)) {
      throw wrong(file, `has a sensor ${fields[columns[0]]}; IceCube's are 0 to ${SENSOR_COUNT - 1}`)
    }
    const ours = Array.from(sensorPositions.subarray(3 * id, 3 * id + 3))
    if (!ours.every((value, axis) => Math.abs(value - position[axis]) <= TOLERANCE_M)) {
      const known = ours.map((value) => value.toFixed(2)).join(', ')
      throw wrong(file, `puts sensor ${id} at (${position.join(', ')}) m; nustream knows it at (${known}) m`)
    }
    seen[id] = 1
  }
  const missing = seen.indexOf(0)
  if (missing >= 0) throw wrong(file, `lacks sensor ${missing}`)
}

function wrong(file: string, what: string): UsageError {
  const meaning = 'this is another detector, whose directions would come out wrong'
  return new UsageError('source_unreadable', `${file} ${what}: ${meaning}`)
}

/** Looks up the truth of events; NaN for one that the table does not have. Fastest when asked in the table's order. */
export function createTruthLookup(table: TruthTable): (eventIds: BigInt64Array) => Truth {
  let hint = 0
  const find = (id: bigint): number => {
    if (table.eventIds[hint] !== id) hint = binarySearch(table.eventIds, id)
    return table.eventIds[hint] === id ? hint++ : -1
  }
  return (eventIds) => {
    const azimuth = new Float64Array(eventIds.length)
    const zenith = new Float64Array(eventIds.length)
    const topology = table.topology && new Uint8Array(eventIds.length)
    for (const [i, id] of eventIds.entries()) {
      const at = find(id)
      azimuth[i] = at < 0 ? Number.NaN : table.azimuth[at]
      zenith[i] = at < 0 ? Number.NaN : table.zenith[at]
      if (topology && table.topology && at >= 0) topology[i] = table.topology[at]
    }
    return { azimuth, zenith, ...(topology && { topology }) }
  }
}

/** Index of the first id that is not below `id`. */
function binarySearch(ids: BigInt64Array, id: bigint): number {
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ids[middle] < id) low = middle + 1
    else high = middle
  }
  return low
}
