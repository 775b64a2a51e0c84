import { join } from 'node:path'
import type { Logger } from 'pino'
import { UnavailableError, UsageError } from '../errors.ts'
import type { ModelRelease, ModelSource } from '../inference/release/roll-out.ts'
import { downloadArtifact, listArtifacts } from './artifacts.ts'
import type { MlflowHttp } from './http.ts'
import { type CachedFiles, digestOf, folderDigest, ModelCache, makeFolderOf } from './model-cache.ts'
import { DIGEST_TAG } from './publish.ts'
import {
  filesOf,
  findVersion,
  parseRegistrySpec,
  type RegisteredVersion,
  type RegistrySpec,
} from './registry.ts'

export interface RegistrySourceOptions {
  readonly http: MlflowHttp
  /** `models:/NAME@ALIAS` or `models:/NAME/VERSION`. */
  readonly spec: string
  /** Where models are kept on this machine's disk. */
  readonly cacheDir: string
  readonly log: Logger
}

/** A model of many gigabytes over a slow line. */
const DOWNLOAD_WITHIN_MS = 1_800_000
const MODEL_BYTES_MAX = 16 * 1024 ** 3

/** Models of an MLflow registry, kept on disk. @throws UsageError `flag_invalid` for a spec that names none */
export class RegistrySource implements ModelSource {
  readonly spec: string
  readonly changes: boolean
  readonly #options: RegistrySourceOptions
  readonly #named: RegistrySpec
  readonly #cache: ModelCache
  readonly #versions = new Map<string, RegisteredVersion>()

  constructor(options: RegistrySourceOptions) {
    const { http, spec, cacheDir } = options
    this.#options = options
    this.spec = spec
    this.#named = parseRegistrySpec(spec)
    this.changes = this.#named.alias !== undefined
    this.#cache = new ModelCache(cacheDir, { host: http.base.host, name: this.#named.name })
  }

  async newest(signal?: AbortSignal): Promise<ModelRelease> {
    return this.#toRelease(await findVersion(this.#options.http, this.#named, { signal }))
  }

  async lastGood(): Promise<ModelRelease | undefined> {
    const { name } = this.#named
    const good = await this.#cache.good(this.#alias)
    if (good === undefined || !(await this.#cache.find(good.version, good.source))) return undefined
    return this.#toRelease({ name, ...good, tags: {} })
  }

  async markGood({ key }: ModelRelease): Promise<void> {
    const { version, source } = this.#known(key)
    await this.#cache.markGood(this.#alias, { version, source })
  }

  async fetch({ key }: ModelRelease, signal?: AbortSignal): Promise<string> {
    const wanted = this.#known(key)
    const { version, source, tags } = wanted
    const kept = await this.#cache.find(version, source)
    if (kept !== undefined) return kept
    const startedAt = performance.now()
    const folder = await this.#cache.add({ version, source }, async (part) => {
      const files = await this.#download(wanted, part, signal)
      const digest = folderDigest(files)
      if (tags[DIGEST_TAG] !== undefined && tags[DIGEST_TAG] !== digest)
        throw new UsageError(
          'mlflow_refused',
          `${wanted.name} ${version} is not what was published: its files have the digest ${digest}, its tag says ${tags[DIGEST_TAG]}`,
        )
      return files
    })
    const seconds = (performance.now() - startedAt) / 1000
    this.#options.log.info({ model: wanted.name, version, folder, seconds }, 'model downloaded')
    return folder
  }

  /** The spec of a fixed version is an alias of its own. */
  get #alias(): string {
    return this.#named.alias ?? `version ${this.#named.version}`
  }

  #toRelease(version: RegisteredVersion): ModelRelease {
    // A registry that was set up anew counts from 1 again: the source tells its versions apart.
    const key = `${version.version} ${version.source}`
    this.#versions.clear()
    this.#versions.set(key, version)
    return { name: version.name, version: version.version, key }
  }

  #known(key: string): RegisteredVersion {
    const version = this.#versions.get(key)
    if (version === undefined) throw new Error(`release ${key} is none that this source gave`)
    return version
  }

  async #download(version: RegisteredVersion, folder: string, signal?: AbortSignal): Promise<CachedFiles> {
    const { http } = this.#options
    const uri = await filesOf(http, version, { signal })
    const listed = await listArtifacts(http, uri, { signal })
    const bytesMax = listed.reduce((sum, { bytes }) => sum + bytes, 0)
    if (!listed.some(({ path }) => path === 'model.json') || bytesMax > MODEL_BYTES_MAX)
      throw new UsageError(
        'model_missing',
        `${version.name} ${version.version} is no model folder of nustream: it has ${listed.length} files of ${bytesMax} bytes and ${listed
          .map(({ path }) => path)
          .slice(0, 8)
          .join(', ')}; publish one with nustream models publish`,
      )
    const files: { path: string; bytes: number; sha256: string }[] = []
    for (const { path, bytes } of listed) {
      const file = await makeFolderOf(join(folder, path))
      const options = { signal, timeoutMs: DOWNLOAD_WITHIN_MS }
      await downloadArtifact(http, uri, { path, file, bytesMax: bytes }, options)
      const got = await digestOf(file)
      if (got.bytes !== bytes)
        throw new UnavailableError('mlflow_unreachable', `${path} has ${got.bytes} bytes, not ${bytes}`)
      files.push({ path, ...got })
    }
    return files
  }
}
