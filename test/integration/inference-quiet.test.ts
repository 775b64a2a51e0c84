import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { startNustream } from '../support/nustream.ts'

const folder = fileURLToPath(new URL('../../models/linefit-onnx', import.meta.url))

it('ONNX Runtime keeps no name of the machine, with which it would report to its maker', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'nustream-home-'))
  t.onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  const env = { HOME: home, XDG_CACHE_HOME: join(home, '.cache') }
  const verify = startNustream(['models', 'verify', folder], t, { env })
  expect(await verify.ended).toBe(0)
  expect(readdirSync(home, { recursive: true })).toEqual([])
})
