import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { NustreamError } from '../../errors.ts'
import { LINE_FIT_IDENTITY } from '../linefit/linefit.ts'
import { openLocalModel } from '../network/local.ts'
import type { GraphInfo } from '../tensors/tensor.ts'
import { readAnyManifest, readMembers } from './folder.ts'
import type { EnsembleManifest, ModelManifest } from './manifest.ts'

/** A model that `--model` can name. */
export interface ListedModel {
  /** What to give to `--model`. */
  readonly spec: string
  readonly name: string
  readonly version: string
  readonly description: string
  /** The error in its manifest, if there is one. */
  readonly problem: string | undefined
}

export interface ShownModel {
  /** Undefined for the built-in line fit. */
  readonly manifest: ModelManifest | EnsembleManifest | undefined
  /** The network's real inputs and outputs; undefined where there is not one network. */
  readonly graph: GraphInfo | undefined
  /** Of an ensemble, in the order of its manifest. */
  readonly members?: readonly ShownModel[]
}

/** What `verifyModel` found, step by step. */
export interface VerifyReport {
  readonly spec: string
  readonly isSound: boolean
  readonly name: string | undefined
  readonly version: string | undefined
  /** Events of the parity fixture, and the largest opening angle between expected and got. */
  readonly parity:
    | { readonly events: number; readonly worstRad: number; readonly toleranceRad: number }
    | undefined
  readonly loadMs: number
  /** Code and message of the error that loading ended with. */
  readonly problem: { readonly code: string; readonly message: string } | undefined
  readonly warnings: readonly string[]
}

const UNPROVED = 'no parity fixture: nothing proves that the manifest is right'
const UNPROVED_MEMBER = 'a member has no parity fixture: nothing proves that its manifest is right'

const LINE_FIT: ListedModel = {
  spec: LINE_FIT_IDENTITY.name,
  ...LINE_FIT_IDENTITY,
  description: 'robust line fit, built in: a physics baseline that needs no training',
  problem: undefined,
}

/** The built-in line fit and every folder with a `model.json` directly under the roots. Missing roots are ignored. */
export async function listModels(roots: readonly string[]): Promise<ListedModel[]> {
  const found = [LINE_FIT]
  for (const root of roots) {
    for (const folder of await modelFolders(root)) found.push(await listed(folder))
  }
  return found
}

/** Loads a model and returns its manifest and graph. @throws UsageError as `openLocalModel` does */
export async function showModel(spec: string): Promise<ShownModel> {
  await using model = await openLocalModel(spec, { threads: 1 })
  if (model.ensemble === undefined) return { manifest: model.manifest, graph: model.graph }
  const members: ShownModel[] = []
  for (const { folder } of model.ensemble.members) members.push(await showModel(resolve(spec, folder)))
  return { manifest: model.ensemble, graph: undefined, members }
}

/** Makes all checks of loading and reports them. Never throws because of the model. */
export async function verifyModel(spec: string, log?: Logger): Promise<VerifyReport> {
  const startMs = performance.now()
  try {
    await using model = await openLocalModel(spec, { threads: 1, ...(log && { log }) })
    const isNetwork = model.manifest !== undefined || model.ensemble !== undefined
    const isUnproved = isNetwork && model.parity === undefined
    return {
      spec,
      isSound: true,
      ...model.model,
      parity: model.parity,
      loadMs: performance.now() - startMs,
      problem: undefined,
      warnings: isUnproved ? [model.ensemble ? UNPROVED_MEMBER : UNPROVED] : [],
    }
  } catch (error) {
    if (!(error instanceof NustreamError)) throw error
    return {
      spec,
      isSound: false,
      name: undefined,
      version: undefined,
      parity: undefined,
      loadMs: performance.now() - startMs,
      problem: { code: error.code, message: error.message },
      warnings: [],
    }
  }
}

async function modelFolders(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => [])
  const folders: string[] = []
  for (const entry of entries) {
    const folder = join(root, entry.name)
    // Follows links. A file is not readable as a folder.
    const files = await readdir(folder).catch((): string[] => [])
    if (files.includes('model.json')) folders.push(folder)
  }
  return folders.sort()
}

async function listed(folder: string): Promise<ListedModel> {
  try {
    const { manifest } = await readAnyManifest(folder)
    if ('members' in manifest) await readMembers(folder, manifest)
    const { name, version, description } = manifest
    return { spec: folder, name, version, description, problem: undefined }
  } catch (error) {
    if (!(error instanceof NustreamError)) throw error
    return { spec: folder, name: '', version: '', description: '', problem: error.message }
  }
}
