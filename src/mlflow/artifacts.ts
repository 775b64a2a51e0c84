import { openAsBlob } from 'node:fs'
import { z } from 'zod'
import { NustreamError, UsageError } from '../errors.ts'
import type { CallOptions, MlflowHttp } from './http.ts'
import { isRefusal } from './runs.ts'

export interface ArtifactFile {
  /** Relative to what was listed, with slashes. */
  readonly path: string
  readonly bytes: number
}

const listing = z.object({
  files: z
    .array(
      z.object({
        path: z.string(),
        is_dir: z.boolean().default(false),
        // An int64 travels as text in some versions.
        file_size: z.coerce.number().optional(),
      }),
    )
    .default([]),
})

/** A folder with more files is not a model folder. */
const FILES_MAX = 1000
const DEPTH_MAX = 8

/**
 * Path below the tracking server's artefact proxy of an artefact URI.
 * @throws UsageError `mlflow_refused` when the artefacts are elsewhere, where this program has no access
 */
export function proxyPath(uri: string): string {
  const match = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.*)$/.exec(uri)
  if (match) return match[1].replace(/(?<!\/)\/+$/, '')
  throw new UsageError(
    'mlflow_refused',
    `artefacts live at ${uri.slice(0, 120)}, not behind the tracking server: start it with --serve-artifacts and --artifacts-destination`,
  )
}

/** Uploads a file to `path` below an artefact URI, replacing what is there. */
export async function uploadArtifact(
  http: MlflowHttp,
  uri: string,
  { path, file }: { readonly path: string; readonly file: string },
  options?: CallOptions,
): Promise<void> {
  await http.put(toUrl(`${proxyPath(uri)}/${path}`), await openAsBlob(file), options)
}

/** All files below an artifact URI, also in folders. Refuses names that lead out of it. */
export async function listArtifacts(
  http: MlflowHttp,
  uri: string,
  options?: CallOptions,
): Promise<ArtifactFile[]> {
  const root = proxyPath(uri)
  const found: ArtifactFile[] = []
  const walk = async (folder: string, depth: number): Promise<void> => {
    const path = folder === '' ? root : `${root}/${folder}`
    const { files } = await http.get('mlflow-artifacts/artifacts', { path }, listing, options)
    for (const { path: given, is_dir, file_size } of files) {
      // MLflow gives names relative to the folder that was asked for.
      const relative = folder === '' ? given : `${folder}/${given}`
      if (isOutside(relative) || found.length >= FILES_MAX || depth >= DEPTH_MAX)
        throw new UsageError('mlflow_refused', `${uri} holds "${relative}", which no model folder would`)
      if (is_dir) await walk(relative, depth + 1)
      else found.push({ path: relative, bytes: file_size ?? 0 })
    }
  }
  await walk('', 0)
  return found
}

/** Downloads one file below an artefact URI and gives its length. */
export function downloadArtifact(
  http: MlflowHttp,
  uri: string,
  { path, file, bytesMax }: { readonly path: string; readonly file: string; readonly bytesMax: number },
  options?: CallOptions,
): Promise<number> {
  return http.download(toUrl(`${proxyPath(uri)}/${path}`), file, { ...options, bytesMax })
}

function isOutside(path: string): boolean {
  return path.includes('\\') || path.split('/').some((part) => part === '' || part === '.' || part === '..')
}

function toUrl(path: string): string {
  return `api/2.0/mlflow-artifacts/artifacts/${path.split('/').map(encodeURIComponent).join('/')}`
}

const WITHIN_MS = 20_000

export interface TrackingFacts {
  readonly version: string
  /** Why artefacts cannot be sent through the tracking server; undefined where they can. */
  readonly artifacts: string | undefined
}

/** Asks a tracking server, changing nothing there. @throws UnavailableError, UsageError as the calls do */
export async function tryTracking(http: MlflowHttp): Promise<TrackingFacts> {
  const options = { timeoutMs: WITHIN_MS }
  try {
    // A missing experiment is fine: the server has accepted the credentials.
    const query = { experiment_name: 'nustream' }
    await http.get('mlflow/experiments/get-by-name', query, z.object({ experiment: z.object({}) }), options)
  } catch (error) {
    if (!isRefusal(error, 'RESOURCE_DOES_NOT_EXIST')) throw error
  }
  const version = (await http.text('version', options)).slice(0, 40)
  try {
    await http.get('mlflow-artifacts/artifacts', { path: '' }, z.object({}), options)
    return { version, artifacts: undefined }
  } catch (error) {
    if (!(error instanceof NustreamError)) throw error
    const remedy = 'start it with --serve-artifacts and --artifacts-destination'
    return { version, artifacts: `the tracking server keeps none (${error.message}); ${remedy}` }
  }
}
