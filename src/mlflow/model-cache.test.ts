import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { digestOf, ModelCache } from './model-cache.ts'

async function open() {
  const dir = await mkdtemp(join(tmpdir(), 'nustream-cache-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  return { dir, cache: new ModelCache(dir, { host: 'h:5000', name: 'direction' }) }
}

async function fill(folder: string) {
  await mkdir(join(folder, 'sub'))
  await writeFile(join(folder, 'sub/model.onnx'), 'weights')
  return [{ path: 'sub/model.onnx', ...(await digestOf(join(folder, 'sub/model.onnx'))) }]
}

describe('ModelCache', () => {
  it('gives a version that it holds, of the source that was asked for', async () => {
    const { cache } = await open()
    expect(await cache.find('1', 'a')).toBeUndefined()
    const folder = await cache.add({ version: '1', source: 'a' }, fill)
    expect(await cache.find('1', 'a')).toBe(folder)
    expect(await cache.find('1', 'b')).toBeUndefined()
  })

  it.each([{ text: 'weightS' }, { text: 'weight' }, { text: undefined }])(
    'a version whose file became $text is not there',
    async ({ text }) => {
      const { cache } = await open()
      const file = join(await cache.add({ version: '1', source: 'a' }, fill), 'sub/model.onnx')
      await (text === undefined ? rm(file) : writeFile(file, text))
      expect(await cache.find('1', 'a')).toBeUndefined()
    },
  )

  it('a download that fails leaves nothing behind', async () => {
    const { dir, cache } = await open()
    const failing = cache.add({ version: '1', source: 'a' }, async (part) => {
      await fill(part)
      throw new Error('cut')
    })
    await expect(failing).rejects.toThrow('cut')
    expect(await readdir(join(dir, 'h%3A5000', 'model-direction'))).toEqual([])
  })

  it('removes what a process left that died while it downloaded, and not a download under way', async () => {
    const { dir, cache } = await open()
    const own = join(dir, 'h%3A5000', 'model-direction')
    for (const name of ['.part-1-dead', '.part-1-live']) await mkdir(join(own, name), { recursive: true })
    const yesterday = Date.now() / 1_000 - 90_000
    await utimes(join(own, '.part-1-dead'), yesterday, yesterday)
    await cache.add({ version: '2', source: 'a' }, fill)
    expect((await readdir(own)).toSorted()).toEqual(['.part-1-live', '2'])
  })

  it('remembers what proved good, and keeps it when older versions go', async () => {
    const { dir, cache } = await open()
    for (let version = 1; version <= 9; version++) {
      await cache.add({ version: `${version}`, source: 'a' }, fill)
      if (version === 1) await cache.markGood('champion', { version: '1', source: 'a' })
    }
    expect(await cache.good('champion')).toEqual({ version: '1', source: 'a' })
    expect(await cache.find('1', 'a')).toBeDefined()
    expect(await cache.find('2', 'a')).toBeUndefined()
    expect((await readdir(join(dir, 'h%3A5000', 'model-direction'))).length).toBeLessThan(9)
  })

  it('names the setting where its folder cannot be made', async () => {
    // Nobody can make a folder there, not even root, and Node's own recursive mkdir never gives up.
    const cache = new ModelCache('/proc/nothing', { host: 'h', name: 'm' })
    await expect(cache.add({ version: '1', source: 's' }, async () => [])).rejects.toMatchObject({
      code: 'flag_invalid',
      message: expect.stringMatching(
        /cannot be kept in \/proc\/nothing\S+ \(ENOENT\): .*--model-cache \(NUSTREAM_MODEL_CACHE\)/,
      ),
    })
  })
})
