import { existsSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { resolve } from 'node:path'
import { UsageError } from '../errors.ts'
import { countEvents } from './count-events.ts'
import { type ListedFile, readFileList } from './file-list.ts'
import { compareNatural } from './natural-order.ts'
import type { EventSource } from './source.ts'

/**
 * Pulse files alone, without truth, in the order given; what a pattern such as `night/*.parquet` finds comes in the
 * order of its numbers. A name that exists as it stands is never taken for a pattern or a list.
 * @throws UsageError `source_missing` naming what was not found
 */
export async function openParquetFiles(spec: string, list: string): Promise<EventSource> {
  const files: ListedFile[] = []
  for (const path of await expandList(list)) files.push({ name: path, path })
  return {
    spec,
    count: () => countEvents(files.map(({ path }) => path)),
    read: (options) => readFileList({ spec, files }, options),
  }
}

async function expandList(list: string): Promise<string[]> {
  if (list !== '' && existsSync(list)) return [resolve(list)]
  const paths: string[] = []
  for (const part of list.split(',').filter((name) => name !== '')) paths.push(...(await expandPart(part)))
  if (paths.length > 0) return [...new Set(paths)]
  throw new UsageError(
    'source_missing',
    'parquet: needs at least one file, such as parquet:night/batch_1.parquet',
  )
}

async function expandPart(part: string): Promise<string[]> {
  if (existsSync(part)) return [resolve(part)]
  const found = /[*?[{]/.test(part) ? await Array.fromAsync(glob(part)) : []
  if (found.length === 0) throw new UsageError('source_missing', `parquet: ${resolve(part)}: no such file`)
  return found.map((name) => resolve(name)).toSorted(compareNatural)
}
