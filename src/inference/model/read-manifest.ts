import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { type UsageCode, UsageError } from '../../errors.ts'
import { type ModelManifest, manifestSchema } from './manifest.ts'

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

/** `value` as `schema` reads it. @throws UsageError `code`: file, field, value found, and what would be right */
export function checkedAs<T>(schema: z.ZodType<T>, value: unknown, path: string, code: UsageCode): T {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (parsed.success) return parsed.data
  const complaints = parsed.error.issues.slice(0, 8).map((issue) => `  ${describe(issue, value)}`)
  const more = parsed.error.issues.length - complaints.length
  if (more > 0) complaints.push(`  and ${more} more`)
  throw new UsageError(code, `${path} is not valid, see docs/models.md:\n${complaints.join('\n')}`, {
    cause: parsed.error,
  })
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
