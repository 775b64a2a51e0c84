import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const page = readFileSync('ARCHITECTURE.md', 'utf8')
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  allowScripts: Record<string, boolean>
}

describe('ARCHITECTURE.md', () => {
  it('names every folder of src, and no other', () => {
    const named = [...page.matchAll(/^- `src\/([a-z-]+)\/`/gm)].map((match) => match[1])
    const folders = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(named.toSorted()).toEqual(folders.map((entry) => entry.name).toSorted())
  })

  it('says of every dependency why it is there', () => {
    const named = [...page.matchAll(/^- `([@a-z0-9/-]+)`: /gm)].map((match) => match[1])
    expect(named.toSorted()).toEqual(Object.keys(manifest.dependencies).toSorted())
  })
})

describe('src/', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  )

  it('waits, races and retries through src/async alone', () => {
    const others = files.filter((path) => !path.startsWith('async/') && !path.endsWith('.test.ts'))
    expect(others.length).toBeGreaterThan(100)
    const own = /Promise\.race\(|timers\/promises|new Promise\b[^\n]*setTimeout/
    expect(others.filter((path) => own.test(readFileSync(`src/${path}`, 'utf8')))).toEqual([])
  })
})

describe('package.json', () => {
  it('lets no install script run that is not named', () => {
    const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean; optional?: boolean }>
    }
    const withScript = Object.entries(lock.packages)
      // The first, with no path, is this package, whose own script is preinstall.
      .filter(([path, entry]) => path !== '' && entry.hasInstallScript && !entry.optional)
      .map(([path]) => path.replace(/^.*node_modules\//, ''))
    expect(withScript.filter((name) => !(name in manifest.allowScripts))).toEqual([])
  })

  it('locks no address of a registry', () => {
    expect(readFileSync('package-lock.json', 'utf8')).not.toContain('"resolved"')
  })
})
