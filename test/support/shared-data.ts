import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * A folder of other projects' samples, where this machine has one: under `NUSTREAM_SHARED_DATA`, or beside the
 * repository. The project does not contain them. Undefined where there is none.
 */
export function sharedData(name: string): string | undefined {
  const beside = fileURLToPath(new URL('../../../shared/data', import.meta.url))
  const folder = join(process.env['NUSTREAM_SHARED_DATA'] ?? beside, name)
  return existsSync(folder) ? folder : undefined
}
