import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bin, CACHE, digest, note, ROOT } from './process.ts'

const MARKER = join(CACHE, 'page')
const BUILT = join(ROOT, 'web', 'dist')

/** Builds the page (web/dist) if its sources have changed since the last build. Returns the exit code of the build. */
export async function ensurePage(): Promise<number> {
  const isBuilt = existsSync(join(BUILT, 'index.html'))
  if (isBuilt && existsSync(MARKER) && readFileSync(MARKER, 'utf8') === pageDigest()) return 0
  note('building the page')
  return await buildPage()
}

/** Builds the page; returns the exit code. */
export async function buildPage(): Promise<number> {
  // Overrides the environment (tests set `test`): otherwise the page would contain React's development build.
  const options = { env: { NODE_ENV: 'production' }, quiet: true }
  const status = await bin('vite', 'vite', ['build', '--logLevel', 'error', 'web'], options)
  if (status !== 0) return status
  mkdirSync(CACHE, { recursive: true })
  writeFileSync(MARKER, pageDigest())
  return 0
}

/** Digest of every file that the page may import, and of the lock file. */
function pageDigest(): string {
  const hash = createHash('sha256')
  for (const folder of ['web', 'src/event', 'src/display', 'src/sky']) {
    const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    const paths = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !path.startsWith(BUILT))
    for (const path of paths.sort()) hash.update(digest(path))
  }
  return hash.update(digest(join(ROOT, 'package-lock.json'))).digest('hex')
}
