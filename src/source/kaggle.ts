import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { UsageError } from '../errors.ts'
import { type DuckDb, openDuckDb } from '../formats/parquet/duckdb.ts'
import { countMetaEvents, readMetaIds } from '../formats/parquet/read-meta.ts'
import { readTruth } from '../formats/parquet/read-truth.ts'
import { countEvents } from './count-events.ts'
import { type ListedFile, readFileList } from './file-list.ts'
import { checkGeometry } from './geometry.ts'
import { compareNatural } from './natural-order.ts'
import type { EventSource } from './source.ts'
import { createTruthLookup } from './truth.ts'

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
