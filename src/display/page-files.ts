import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface PageFile {
  readonly bytes: Buffer
  readonly type: string
  readonly etag: string
  readonly cacheControl: string
}

/** Where the build of the page (`web/`) lies, in a clone as in the package. */
export const PAGE_FOLDER = fileURLToPath(new URL('../../web/dist', import.meta.url))

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
}

/** Vite puts a hash of the content into these names, so they never change. */
const HASHED = /^\/assets\/.+-[\w-]{8,}\.\w+$/

/**
 * All files of the built page by their path in the URL, held in memory: a few, of about a megabyte. A request names one
 * of them or nothing, so that no path leads out of the folder. Undefined where the page is not built.
 */
export function readPageFiles(folder: string): ReadonlyMap<string, PageFile> | undefined {
  const files = new Map<string, PageFile>()
  try {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const type = TYPES[extname(entry.name)]
      if (!entry.isFile() || type === undefined) continue
      const path = join(entry.parentPath, entry.name)
      const url = `/${relative(folder, path).split(sep).join('/')}`
      files.set(url, toPageFile(readFileSync(path), type, HASHED.test(url)))
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  const index = files.get('/index.html')
  if (!index) return undefined
  return files.set('/', index)
}

function toPageFile(bytes: Buffer, type: string, isForEver: boolean): PageFile {
  return {
    bytes,
    type,
    etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 20)}"`,
    cacheControl: isForEver ? 'public, max-age=31536000, immutable' : 'no-cache',
  }
}
