import { join, resolve } from 'node:path'
import { NustreamError, UsageError } from '../../errors.ts'
import type { EnsembleManifest } from './ensemble-manifest.ts'
import { ensembleSchema } from './ensemble-manifest.ts'
import { type ModelManifest, manifestSchema } from './manifest.ts'
import { checkedAs, readJson } from './read-manifest.ts'

/** One model of an ensemble. */
export interface Member {
  /** Absolute. */
  readonly folder: string
  readonly weight: number
  readonly manifest: ModelManifest
}

export type AnyManifest =
  | { readonly kind: 'network'; readonly manifest: ModelManifest }
  | { readonly kind: 'ensemble'; readonly manifest: EnsembleManifest }

/**
 * The `model.json` of a folder: that of an ensemble where it lists `members`, otherwise that of one network.
 * @throws UsageError `model_missing` without the file, `model_manifest_invalid` naming each wrong field
 */
export async function readAnyManifest(folder: string): Promise<AnyManifest> {
  const path = join(folder, 'model.json')
  const json = await readJson(path, 'model_manifest_invalid')
  if (typeof json === 'object' && json !== null && 'members' in json) {
    return { kind: 'ensemble', manifest: checkedAs(ensembleSchema, json, path, 'model_manifest_invalid') }
  }
  return { kind: 'network', manifest: checkedAs(manifestSchema, json, path, 'model_manifest_invalid') }
}

/**
 * The manifests of an ensemble's members.
 * @throws UsageError `model_manifest_invalid` naming the member that is missing, wrong, an ensemble itself, listed twice,
 * or does not answer with a vector
 */
export async function readMembers(folder: string, { members }: EnsembleManifest): Promise<Member[]> {
  const found: Member[] = []
  for (const [index, { folder: given, weight }] of members.entries()) {
    const place = resolve(folder, given)
    const complain = (problem: string, cause?: unknown) => {
      const field = `${join(folder, 'model.json')} is not valid, see docs/models.md:\n  members[${index}].folder is ${JSON.stringify(given)}`
      return new UsageError('model_manifest_invalid', `${field}: ${problem}`, { cause })
    }
    if (found.some((other) => other.folder === place)) throw complain('is listed already: add up the weights')
    const member = await readAnyManifest(place).catch((error: unknown) => {
      throw error instanceof NustreamError ? complain(error.message, error) : error
    })
    if (member.kind === 'ensemble') throw complain('is an ensemble itself: list its members here')
    const { meaning } = member.manifest.output
    if (meaning === 'azimuth-zenith')
      throw complain(
        'its output.meaning is "azimuth-zenith": only vectors ("vector", "vector-kappa") can be summed',
      )
    found.push({ folder: place, weight, manifest: member.manifest })
  }
  return found
}
