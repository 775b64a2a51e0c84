import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { z } from 'zod'
import { NustreamError, type UsageCode, UsageError } from '../../errors.ts'
import { type EnsembleManifest, ensembleSchema, type ModelManifest, manifestSchema } from './manifest.ts'

/** Models that come with nustream and can be named without a path. */
export const BUNDLED_MODELS = ['nano']

/** Relative to this file, in src as in dist. */
const MODELS = fileURLToPath(new URL('../../../models/', import.meta.url))

/** The folder that `--model` names. A folder in the working directory takes precedence over a bundled model. */
export function resolveModelFolder(spec: string): string {
  const folder = resolve(spec)
  return BUNDLED_MODELS.includes(spec) && !existsSync(folder) ? resolve(MODELS, spec) : folder
}

/** @throws UsageError `model_missing` without the file, `model_manifest_invalid` naming each wrong field */
export async function readManifest(folder: string): Promise<ModelManifest> {
  const path = join(folder, 'model.json')
  return checkedAs(
    manifestSchema,
    await readJson(path, 'model_manifest_invalid'),
    path,
    'model_manifest_invalid',
  )
}

/** @throws UsageError `model_missing` where there is no such file, `code` where it is not JSON */
export async function readJson(path: string, code: UsageCode): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const remedy = 'a model is a folder with model.onnx, model.json and parity.json, see docs/models.md'
    throw new UsageError('model_missing', `${path} cannot be read: ${remedy}`, { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new UsageError(code, `${path} is not JSON: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    })
  }
}

/** Complaints that a message lists in full. */
const COMPLAINTS_MAX = 8

/** `value` as `schema` reads it. @throws UsageError `code`: file, field, value found, and what would be right */
export function checkedAs<T>(schema: z.ZodType<T>, value: unknown, path: string, code: UsageCode): T {
  const parsed = schema.safeParse(value, { reportInput: true, error: requirementOf })
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  const missing = issues.filter((issue) => isMissing(issue, value))
  // On one line, because a list of them would push the other complaints out of the message.
  const isMany = missing.length > 1
  const others = isMany ? issues.filter((issue) => !missing.includes(issue)) : issues
  const complaints = others.slice(0, COMPLAINTS_MAX).map((issue) => describe(issue, value))
  if (others.length > complaints.length) complaints.push(`and ${others.length - complaints.length} more`)
  if (isMany)
    complaints.unshift(
      `missing: ${missing.map((issue) => fieldName(issue.path)).join(', ')}. A template: docs/models.md`,
    )
  const lines = complaints.map((complaint) => `  ${complaint}`).join('\n')
  throw new UsageError(code, `${path} is not valid, see docs/models.md:\n${lines}`, { cause: parsed.error })
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
}

/** Message for a value, unless its schema has one of its own. */
function requirementOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `must be ${oneOf(issue.values)}`
    case 'invalid_union':
      return Array.isArray(issue['options']) ? `must be ${oneOf(issue['options'])}` : undefined
    case 'too_small':
      return sizeRequirement(issue.origin, `${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`)
    case 'too_big':
      return sizeRequirement(issue.origin, `${issue.inclusive ? 'at most' : 'less than'} ${issue.maximum}`)
    default:
      return undefined
  }
}

function sizeRequirement(origin: string, bound: string): string {
  if (origin === 'string')
    return bound === 'at least 1' ? 'must not be empty' : `must have ${bound} characters`
  if (origin === 'array') return bound === 'at least 1' ? 'must not be empty' : `must have ${bound} entries`
  return `must be ${bound}`
}

function oneOf(values: readonly unknown[]): string {
  const shown = values.map((value) => (typeof value === 'bigint' ? String(value) : JSON.stringify(value)))
  return [shown.slice(0, -1).join(', '), shown.at(-1)].filter((part) => part !== '').join(' or ')
}

function isMissing({ code, path }: z.core.$ZodIssue, root: unknown): boolean {
  return (
    code !== 'custom' && code !== 'unrecognized_keys' && path.length > 0 && valueAt(root, path) === undefined
  )
}

function describe(issue: z.core.$ZodIssue, root: unknown): string {
  const field = issue.path.length ? fieldName(issue.path) : 'the file'
  if (issue.code === 'unrecognized_keys') {
    return `${field} has the unknown key ${issue.keys.map((key) => JSON.stringify(key)).join(', ')}: remove it`
  }
  const found = valueAt(root, issue.path)
  if (found === undefined) return `${field} is missing: ${issue.message}`
  const shown = JSON.stringify(found)
  return `${field} is ${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown}: ${issue.message}`
}

function fieldName(path: readonly PropertyKey[]): string {
  const parts = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
  return parts.join('').replace(/^\./, '')
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}

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
