import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Models that come with nustream and can be named without a path. */
export const BUNDLED_MODELS = ['nano']

/** Relative to this file, in src as in dist. */
const MODELS = fileURLToPath(new URL('../../../models/', import.meta.url))

/** The folder that a `--model` names. A folder of that name here goes before the one that comes with nustream. */
export function resolveModelFolder(spec: string): string {
  const folder = resolve(spec)
  return BUNDLED_MODELS.includes(spec) && !existsSync(folder) ? resolve(MODELS, spec) : folder
}
