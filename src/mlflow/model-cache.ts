import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { UnavailableError, UsageError } from '../errors.ts'
import { makeFolders } from '../folders.ts'

const index = z.object({
  source: z.string(),
  files: z.array(z.object({ path: z.string(), bytes: z.number(), sha256: z.string() })),
})
export type CachedFiles = z.infer<typeof index>['files']

const good = z.object({ version: z.string(), source: z.string() })
export type GoodVersion = z.infer<typeof good>

const INDEX = '.nustream-download.json'
/** Versions kept besides the good one of each alias. */
const VERSIONS_KEPT = 4
/** An unfinished download that has not changed for this long belongs to a process that died. */
const PART_KEPT_MS = 86_400_000

/**
 * Versions of one registered model on this machine's disk, one folder per version. A folder is complete or absent, and is
 * used only while its files are unchanged.
 */
export class ModelCache {
  readonly #dir: string

  /** Below `dir`, by registry and model: two registries may have models of one name. */
  constructor(dir: string, { host, name }: { readonly host: string; readonly name: string }) {
    this.#dir = join(dir, encodeURIComponent(host), `model-${encodeURIComponent(name)}`)
  }

  /** Folder of a version, if it is here, unchanged and from the same source. */
  async find(version: string, source: string): Promise<string | undefined> {
    const folder = join(this.#dir, version)
    const read = await readJson(join(folder, INDEX), index)
    if (read?.source !== source) return undefined
    const isWhole = await Promise.all(
      read.files.map(async ({ path, bytes, sha256 }) => {
        const file = await digestOf(join(folder, path)).catch(() => undefined)
        return file?.bytes === bytes && file.sha256 === sha256
      }),
    )
    return isWhole.every(Boolean) ? folder : undefined
  }

  /** Lets `fill` write a version's files into an empty folder, then puts the folder in place in one step. */
  async add(
    { version, source }: GoodVersion,
    fill: (folder: string) => Promise<CachedFiles>,
  ): Promise<string> {
    const part = await this.#makePart(version)
    const folder = join(this.#dir, version)
    try {
      const files = await fill(part)
      await writeFile(join(part, INDEX), JSON.stringify({ source, files }))
      // A folder that is there is of another source or damaged. A model that uses it has already read its files.
      await rm(folder, { recursive: true, force: true })
      await rename(part, folder)
    } catch (error) {
      await rm(part, { recursive: true, force: true })
      // Another process may have put the same version in place a moment before.
      const other = await this.find(version, source)
      if (other === undefined) throw error
      return other
    }
    await this.#prune(version)
    return folder
  }

  /** An empty folder for the files of a version. @throws UsageError, UnavailableError where none can be made */
  async #makePart(version: string): Promise<string> {
    try {
      await makeFolders(this.#dir)
      return await mkdtemp(join(this.#dir, `.part-${version}-`))
    } catch (cause) {
      const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
      const what = `models of the registry cannot be kept in ${this.#dir} (${reason})`
      if (reason === 'ENOSPC' || reason === 'EDQUOT')
        throw new UnavailableError('model_cache_full', `${what}: make room there`, { cause })
      const remedy = 'name a folder that this process can write with --model-cache (NUSTREAM_MODEL_CACHE)'
      throw new UsageError('flag_invalid', `${what}: ${remedy}`, { cause })
    }
  }

  /** The version that proved good under this alias the last time. */
  async good(alias: string): Promise<GoodVersion | undefined> {
    return readJson(this.#goodPath(alias), good)
  }

  async markGood(alias: string, version: GoodVersion): Promise<void> {
    const path = this.#goodPath(alias)
    const part = `${path}.${process.pid}`
    await writeFile(part, JSON.stringify(version))
    await rename(part, path)
  }

  #goodPath(alias: string): string {
    return join(this.#dir, `good-${encodeURIComponent(alias)}.json`)
  }

  async #prune(newest: string): Promise<void> {
    const names = await readdir(this.#dir)
    const goods = names.filter((name) => /^good-.*\.json$/.test(name))
    const kept = new Set([newest])
    for (const name of goods) kept.add((await readJson(join(this.#dir, name), good))?.version ?? '')
    const others = await this.#byAge(names.filter((name) => /^\d+$/.test(name) && !kept.has(name)))
    const parts = await this.#byAge(names.filter((name) => name.startsWith('.part-')))
    const dead = parts.filter(({ changedAt }) => Date.now() - changedAt > PART_KEPT_MS)
    for (const { name } of [...others.slice(VERSIONS_KEPT), ...dead])
      await rm(join(this.#dir, name), { recursive: true, force: true })
  }

  /** Folders that are still there, the one that changed last first. Unix milliseconds. */
  async #byAge(names: readonly string[]): Promise<{ name: string; changedAt: number }[]> {
    const found = await Promise.all(
      names.map(async (name) => {
        // Another process may have put it in place, or removed it, a moment before.
        const changedAt = await stat(join(this.#dir, name)).then(
          ({ mtimeMs }) => mtimeMs,
          () => undefined,
        )
        return changedAt === undefined ? [] : [{ name, changedAt }]
      }),
    )
    return found.flat().toSorted((a, b) => b.changedAt - a.changedAt)
  }
}

/** Length and SHA-256 of a file. */
export async function digestOf(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** One digest of a folder's files, whatever their order. */
export function folderDigest(files: CachedFiles): string {
  const lines = files.map(({ path, sha256 }) => `${path} ${sha256}\n`).sort()
  return `sha256:${createHash('sha256').update(lines.join('')).digest('hex')}`
}

/** Makes the folder that a file is to lie in. */
export async function makeFolderOf(path: string): Promise<string> {
  await makeFolders(dirname(path))
  return path
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // Not there, or cut short by a crash: it is made again.
    return undefined
  }
}
