import { readdir, realpath, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../errors.ts'
import type { ModelManifest } from '../inference/model/manifest.ts'
import { uploadArtifact } from './artifacts.ts'
import type { MlflowHttp } from './http.ts'
import { MLMODEL_FILES, writeMlmodel } from './mlmodel.ts'
import { digestOf, folderDigest } from './model-cache.ts'
import { createVersion, type RegisteredVersion, setAlias } from './registry.ts'
import { createRun, ensureExperiment, logBatch, type RunInfo, type Texts, updateRun } from './runs.ts'

/** Tag of a model version: digest of its files, which is checked at every download. */
export const DIGEST_TAG = 'nustream.digest'
const UPLOAD_WITHIN_MS = 1_800_000
const MODEL_PATH = 'model'

export interface PublishOptions {
  readonly folder: string
  /** Of a folder with one network, which MLflow's own tools can then load; undefined for an ensemble. */
  readonly manifest?: ModelManifest | undefined
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
 * @throws UsageError `model_missing` for a folder with a broken link, before anything is registered
 */
export async function publishModel(http: MlflowHttp, options: PublishOptions): Promise<RegisteredVersion> {
  const { folder, name, aliases, facts, description, manifest } = options
  const own = (await filesBelow(folder)).filter((path) => !MLMODEL_FILES.some((file) => file === path))
  const flavour = manifest && (await writeMlmodel(folder, manifest))
  const files = own.map((path) => ({ path, file: join(folder, path) }))
  if (flavour !== undefined) files.push(...MLMODEL_FILES.map((path) => ({ path, file: join(flavour, path) })))
  const experimentId = await ensureExperiment(http, options.experiment)
  const run = await createRun(http, {
    experimentId,
    name: `publish ${name}`,
    startMs: Date.now(),
    tags: { 'mlflow.source.name': 'nustream models publish' },
  })
  try {
    await logBatch(http, run.runId, { params: facts })
    const uploaded = await uploadFiles(http, run, files)
    const made = await createVersion(http, {
      name,
      source: `${run.artifactUri}/${MODEL_PATH}`,
      runId: run.runId,
      tags: { ...facts, [DIGEST_TAG]: folderDigest(uploaded) },
      description,
    })
    for (const alias of aliases) await setAlias(http, { name, alias, version: made.version })
    await updateRun(http, run.runId, { status: 'FINISHED', endMs: Date.now() })
    return made
  } catch (error) {
    await updateRun(http, run.runId, { status: 'FAILED', endMs: Date.now() }).catch(() => {})
    throw error
  } finally {
    if (flavour !== undefined) await rm(flavour, { recursive: true, force: true })
  }
}

interface Upload {
  /** In the model folder, with slashes. */
  readonly path: string
  readonly file: string
}

async function uploadFiles(http: MlflowHttp, run: RunInfo, files: readonly Upload[]) {
  const uploaded: { path: string; bytes: number; sha256: string }[] = []
  for (const { path, file } of files) {
    uploaded.push({ path, ...(await digestOf(file)) })
    const upload = { path: `${MODEL_PATH}/${path}`, file }
    await uploadArtifact(http, run.artifactUri, upload, { timeoutMs: UPLOAD_WITHIN_MS })
  }
  return uploaded
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
