import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import * as api from '../../src/api.ts'

const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')

it('docs/api.md has an example that runs', async ({ onTestFinished }) => {
  const [, example = ''] = /```js\n(.*?)```/s.exec(page) ?? []
  const folder = mkdtempSync(join(tmpdir(), 'nustream-api-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const entry = fileURLToPath(new URL('../../src/api.ts', import.meta.url))
  writeFileSync(join(folder, 'example.mjs'), example.replace("'nustream'", JSON.stringify(entry)))
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'example.mjs')])
  expect(stdout.match(/^\d+n \{ azimuth: [\d.]+, zenith: [\d.]+ \} [\d.e-]+$/gm)).toHaveLength(100)
})

it('docs/api.md names every function and value of the package', () => {
  const missing = Object.keys(api).filter((name) => !page.includes(name) && name !== 'EVENT_ERROR_CODES')
  expect(missing).toEqual([])
})
