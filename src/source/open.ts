import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'
import { UsageError } from '../errors.ts'
import { openKaggle } from './kaggle.ts'
import { openParquetFiles } from './pulse-files.ts'
import { compareNatural, type EventSource } from './source.ts'
import { openWatch, type WatchOptions } from './watch.ts'

export interface SourceOptions {
  /** Told of files that turn out broken while a folder is watched. */
  readonly log?: Logger
  readonly metrics?: SourceMetrics
  /** Told in a sentence of what a user should know, and what is no error; otherwise it is logged as a warning. */
  readonly onNotice?: (message: string) => void
  readonly watch?: Omit<WatchOptions, 'onFile' | 'onAway'>
}

const FORMS = 'sim[:SEED], kaggle:DIR, parquet:FILE[,FILE…], i3:FILE[,FILE…], alert:FILE[,FILE…] or watch:DIR'

/**
 * The source that a spec names. What is cheap to check is checked now, the files themselves when they are read.
 * @throws UsageError `source_unknown` for another kind of spec, `source_missing` and `source_unreadable`, saying what
 * does exist
 */
export async function openSource(spec: string, options: SourceOptions = {}): Promise<EventSource> {
  const [, kind, rest] = /^([a-z][a-z0-9]*)(?::(.*))?$/s.exec(spec) ?? []
  switch (kind) {
    case 'sim': {
      const { openSimulated } = await import('./simulated.ts')
      return openSimulated(spec)
    }
    case 'kaggle':
      return saying(openKaggle(spec, wantPath(spec, rest), noticeOf(options)), rest)
    case 'parquet':
      return saying(openParquetFiles(spec, wantPath(spec, rest), noticeOf(options)), rest)
    case 'i3':
    case 'alert': {
      const { openIceCubeFiles } = await import('./icecube-files.ts')
      return saying(openIceCubeFiles(spec, kind, wantPath(spec, rest)), rest)
    }
    case 'watch':
      return saying(openWatch(spec, wantPath(spec, rest), toWatchOptions(options)), rest)
    default:
      throw unknownSource(spec)
  }
}

function wantPath(spec: string, path: string | undefined): string {
  if (path) return path
  throw new UsageError('source_unknown', `source "${spec}" lacks a path; expected ${FORMS}`)
}

function noticeOf({ log, onNotice }: SourceOptions): (message: string) => void {
  return onNotice ?? ((message) => log?.warn(message))
}

function toWatchOptions(options: SourceOptions): WatchOptions {
  const { log, metrics, watch } = options
  return {
    onNotice: noticeOf(options),
    ...watch,
    onAway: (err) => log?.error({ err }, 'the watched folder is gone; waiting for it'),
    onFile: ({ name, error }) => {
      metrics?.file(error ? 'broken' : 'emitted')
      if (error) log?.error({ file: name, err: error }, 'file of the watched folder is broken')
      else log?.info({ file: name }, 'file of the watched folder emitted')
    },
  }
}

function unknownSource(spec: string): UsageError {
  if (/^[./~]|[/\\]/.test(spec) && !/^[a-z]\w*:/.test(spec) && !existsSync(spec)) {
    const remedy =
      'Download the Kaggle data there, or make a data set: nustream simulate --events 10000 --out FOLDER'
    return new UsageError('source_missing', `${spec}: no such folder. ${remedy}`)
  }
  const hint = existsSync(spec)
    ? `; it is a path, so perhaps ${/\.(parquet|parq|pq)$/i.test(spec) ? 'parquet' : 'kaggle'}:${spec}`
    : ''
  return new UsageError('source_unknown', `no source "${spec}"; expected ${FORMS}${hint}`)
}

/** Adds what there is to the message about what there is not. */
async function saying(opening: Promise<EventSource>, path: string | undefined): Promise<EventSource> {
  try {
    return await opening
  } catch (error) {
    if (!(error instanceof UsageError) || error.code !== 'source_missing' || !path) throw error
    let folder = resolve(path.split(',', 1)[0])
    while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
    if (folder === resolve(path)) throw error
    const names = (await readdir(folder).catch(() => [])).toSorted(compareNatural)
    const more = names.length > 10 ? ` and ${names.length - 10} more` : ''
    const holds = names.length > 0 ? names.slice(0, 10).join(', ') + more : 'nothing'
    throw new UsageError('source_missing', `${error.message}; ${folder} holds ${holds}`, { cause: error })
  }
}

export interface SourceMetrics {
  /** A file of a watched folder was emitted whole, or turned out broken. */
  file(outcome: 'emitted' | 'broken'): void
}

/** Metrics of sources that read files as they come. */
export function sourceMetrics(registry: Registry): SourceMetrics {
  const files = new Counter({
    name: 'nustream_source_files_total',
    help: 'Files of a watched folder by outcome: emitted whole, or broken (tried again when they change).',
    labelNames: ['outcome'],
    registers: [registry],
  })
  for (const outcome of ['emitted', 'broken'] as const) files.inc({ outcome }, 0)
  return { file: (outcome) => files.inc({ outcome }) }
}
