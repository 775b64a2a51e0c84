import { readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
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
    for (const path of await filesBelow(folder)) {
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

/** Paths relative to the folder, with slashes, in order; hidden files stay at home. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep))
  return paths
    .filter((parts) => !parts.some((part) => part.startsWith('.')))
    .map((parts) => parts.join('/'))
    .sort()
}
