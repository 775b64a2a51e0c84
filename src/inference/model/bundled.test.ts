import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BUNDLED_MODELS, resolveModelFolder } from './bundled.ts'

const home = process.cwd()
let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nustream-bundled-'))
  process.chdir(folder)
})

afterEach(async () => {
  process.chdir(home)
  await rm(folder, { recursive: true })
})

test('a model that comes with nustream is found from anywhere', () => {
  for (const name of BUNDLED_MODELS)
    expect(existsSync(join(resolveModelFolder(name), 'model.json')), name).toBe(true)
})

test('a folder of that name goes first', async () => {
  await mkdir('nano')
  expect(resolveModelFolder('nano')).toBe(resolve('nano'))
})

test('any other name is a path', () => {
  expect(resolveModelFolder('mine')).toBe(resolve('mine'))
  expect(resolveModelFolder('models/nano')).toBe(resolve('models/nano'))
})
