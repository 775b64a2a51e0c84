import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../errors.ts'
import { uploadArtifact } from './artifacts.ts'
import type { MlflowHttp } from './http.ts'
import { digestOf, folderDigest } from './model-cache.ts'
import { createVersion, type RegisteredVersion, setAlias } from './registry.ts'
import { createRun, ensureExperiment, logBatch, type Texts, updateRun } from './runs.ts'

/** Tag of a model version: digest of its files, which is checked at every download. */
export const DIGEST_TAG = 'nustream.digest'
const UPLOAD_WITHIN_MS = 1_800_000
const MODEL_PATH = 'model'

export interface PublishOptions {
  readonly folder: string
  /** Of the registered model. */
  readonly name: string
  /** Aliases that are to name the new version. */
  readonly aliases: readonly string[]
  /** Of the run that holds the files. */
  readonly experiment: string
  readonly description: string
  /** Facts from the manifest, as tags of the version and parameters of the run. */
  readonly facts: Texts
}

/**
 * Uploads a model folder as artefacts of a run of its own, registers it as the next version, and lets the aliases name
 * it. The aliases are moved last: until then nobody sees a model half there.
 */
export async function publishModel(http: MlflowHttp, options: PublishOptions): Promise<RegisteredVersion> {
  const { folder, name, aliases, facts, description } = options
  // Before anything is registered: a folder that cannot be read whole must not become a version.
  const paths = await filesBelow(folder)
  const experimentId = await ensureExperiment(http, options.experiment)
  const run = await createRun(http, {
    experimentId,
    name: `publish ${name}`,
    startMs: Date.now(),
    tags: { 'mlflow.source.name': 'nustream models publish' },
  })
  try {
    await logBatch(http, run.runId, { params: facts })
    const files: { path: string; bytes: number; sha256: string }[] = []
    for (const path of paths) {
      const file = join(folder, path)
      files.push({ path, ...(await digestOf(file)) })
      const upload = { path: `${MODEL_PATH}/${path}`, file }
      await uploadArtifact(http, run.artifactUri, upload, { timeoutMs: UPLOAD_WITHIN_MS })
    }
    const made = await createVersion(http, {
      name,
      source: `${run.artifactUri}/${MODEL_PATH}`,
      runId: run.runId,
      tags: { ...facts, [DIGEST_TAG]: folderDigest(files) },
      description,
    })
    for (const alias of aliases) await setAlias(http, { name, alias, version: made.version })
    await updateRun(http, run.runId, { status: 'FINISHED', endMs: Date.now() })
    return made
  } catch (error) {
    await updateRun(http, run.runId, { status: 'FAILED', endMs: Date.now() }).catch(() => {})
    throw error
  }
}

/**
 * Paths relative to the folder, with slashes, in order, without hidden files. Links are followed: in folders of DVC,
 * git-annex and the caches of model hubs every file is one.
 * @throws UsageError `model_missing` naming a link that leads nowhere, or round in a circle
 */
export async function filesBelow(folder: string): Promise<string[]> {
  const found: string[] = []
  const walk = async (path: string, above: readonly string[]): Promise<void> => {
    const here = await realpath(join(folder, path))
    if (above.includes(here)) throw leadsNowhere(join(folder, path), 'leads back to a folder that holds it')
    for (const name of await readdir(here)) {
      if (name.startsWith('.')) continue
      const inner = path === '' ? name : `${path}/${name}`
      const facts = await stat(join(folder, inner)).catch((cause: unknown) => {
        throw leadsNowhere(join(folder, inner), 'leads nowhere', cause)
      })
      if (facts.isDirectory()) await walk(inner, [...above, here])
      else found.push(inner)
    }
  }
  await walk('', [])
  return found.sort()
}

function leadsNowhere(path: string, problem: string, cause?: unknown): UsageError {
  const remedy = 'fetch its file (dvc pull, git annex get), or remove the link; nothing was published'
  return new UsageError('model_missing', `the link ${path} ${problem}: ${remedy}`, { cause })
}
