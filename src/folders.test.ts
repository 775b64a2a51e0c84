import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { makeFolders } from './folders.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'nustream-folders-'))
  t.onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

describe('makeFolders()', () => {
  it('makes a folder and those above it, and leaves one that is there', async (t) => {
    const path = join(folder(t), 'a/b/c')
    await makeFolders(path)
    await makeFolders(path)
    expect(statSync(path).isDirectory()).toBe(true)
  })

  it('fails where the path is a file', async (t) => {
    const file = join(folder(t), 'file')
    writeFileSync(file, '')
    await expect(makeFolders(file)).rejects.toThrow(/EEXIST/)
  })

  it('fails below a file', async (t) => {
    const file = join(folder(t), 'file')
    writeFileSync(file, '')
    await expect(makeFolders(join(file, 'a'))).rejects.toThrow(/ENOTDIR/)
  })

  it('fails soon where the file system refuses folders', async (t) => {
    t.skip(process.platform !== 'linux', 'only Linux has /proc')
    await expect(makeFolders('/proc/nothing/a/b')).rejects.toThrow(/ENOENT/)
  })
})
