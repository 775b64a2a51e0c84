import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { CallOptions, MlflowHttp } from './http.ts'
import { getRun, isRefusal, type Texts, toPairs } from './runs.ts'

/** One version of a registered model. */
export interface RegisteredVersion {
  readonly name: string
  /** A whole number as text, counted by the registry. */
  readonly version: string
  /** Where its files were when it was made. */
  readonly source: string
  readonly tags: Texts
}

/** What `models:/…` names. */
export interface RegistrySpec {
  readonly name: string
  /** Exactly one of the two. */
  readonly alias?: string
  readonly version?: string
}

const pairs = z.array(z.object({ key: z.string(), value: z.string() })).default([])
const version = z.object({
  model_version: z.object({
    name: z.string(),
    version: z.coerce.string().regex(/^\d{1,10}$/),
    source: z.string().default(''),
    tags: pairs,
  }),
})
const anything = z.object({})

export function isRegistrySpec(spec: string): boolean {
  return spec.startsWith('models:/')
}

/** @throws UsageError `flag_invalid` where it is neither `models:/NAME@ALIAS` nor `models:/NAME/VERSION` */
export function parseRegistrySpec(spec: string): RegistrySpec {
  const match = /^models:\/([^/@:\s]+)(?:@([\w.-]+)|\/(\d{1,10}))$/.exec(spec)
  if (!match)
    throw new UsageError(
      'flag_invalid',
      `"${spec}" names no registered model; it looks like models:/direction@champion or models:/direction/3`,
    )
  const [, name, alias, number] = match
  return alias === undefined ? { name, version: number } : { name, alias }
}

/** The version that the registry holds under an alias or number now. @throws UsageError `model_missing` */
export async function findVersion(
  http: MlflowHttp,
  { name, alias, version: number }: RegistrySpec,
  options?: CallOptions,
): Promise<RegisteredVersion> {
  try {
    const path = alias === undefined ? 'mlflow/model-versions/get' : 'mlflow/registered-models/alias'
    const { model_version: found } = await http.get(path, { name, alias, version: number }, version, options)
    return { ...found, tags: Object.fromEntries(found.tags.map(({ key, value }) => [key, value])) }
  } catch (error) {
    // A missing alias is INVALID_PARAMETER_VALUE, a missing model RESOURCE_DOES_NOT_EXIST.
    if (!isRefusal(error, 'RESOURCE_DOES_NOT_EXIST', 'INVALID_PARAMETER_VALUE')) throw error
    const what = alias === undefined ? `version ${number}` : `alias "${alias}"`
    throw new UsageError('model_missing', `${http.name} has no ${what} of a registered model "${name}"`, {
      cause: error,
    })
  }
}

/** Artefact URI of a version's files, as the tracking server says it now. */
export async function filesOf(
  http: MlflowHttp,
  { name, version: number, source }: RegisteredVersion,
  options?: CallOptions,
): Promise<string> {
  const query = { name, version: number }
  const answer = z.object({ artifact_uri: z.string().default('') })
  const { artifact_uri: uri } = await http.get(
    'mlflow/model-versions/get-download-uri',
    query,
    answer,
    options,
  )
  return resolveUri(http, uri === '' ? source : uri, options)
}

/** `models:/m-…` is a logged model of MLflow 3, `runs:/ID/path` a folder of a run; both stand for an artefact URI. */
async function resolveUri(http: MlflowHttp, uri: string, options?: CallOptions): Promise<string> {
  const logged = /^models:\/(m-[\w-]+)$/.exec(uri)
  if (logged) {
    const answer = z.object({ model: z.object({ info: z.object({ artifact_uri: z.string() }) }) })
    const { model } = await http.get(`mlflow/logged-models/${logged[1]}`, {}, answer, options)
    return model.info.artifact_uri
  }
  const ofRun = /^runs:\/(\w+)\/(.+)$/.exec(uri)
  if (ofRun) return `${(await getRun(http, ofRun[1], options)).artifactUri}/${ofRun[2]}`
  return uri
}

export interface NewVersion {
  readonly name: string
  readonly source: string
  readonly runId: string
  readonly tags: Texts
  readonly description: string
}

/** Registers files as the next version of a model, which is made where there is none. */
export async function createVersion(
  http: MlflowHttp,
  { name, source, runId, tags, description }: NewVersion,
  options?: CallOptions,
): Promise<RegisteredVersion> {
  try {
    await http.post('mlflow/registered-models/create', { name }, anything, options)
  } catch (error) {
    if (!isRefusal(error, 'RESOURCE_ALREADY_EXISTS')) throw error
  }
  const body = { name, source, run_id: runId, tags: toPairs(tags), description }
  const { model_version: made } = await http.post('mlflow/model-versions/create', body, version, options)
  return { name, version: made.version, source, tags }
}

/** Lets an alias name a version from now on. */
export async function setAlias(
  http: MlflowHttp,
  { name, alias, version: number }: Required<RegistrySpec>,
  options?: CallOptions,
): Promise<void> {
  await http.post('mlflow/registered-models/alias', { name, alias, version: number }, anything, options)
}
