import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { fileName, lastFiles, makeFolder, parseFileName, placeFile } from './folder.ts'

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'nustream-archive-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const STREAM = '7f3a9c12'
const span = { stream: STREAM, partition: 0, sequence: 1, first: '1', last: '9' }

it.each([
  { name: 'numbers', first: '1', last: '200' },
  { name: 'stream ids', first: '1763935200000-0', last: '1763935200417-3' },
  { name: 'anything', first: 'a_b/c', last: 'ü ?' },
])('a file name tells its span back, cursors being $name', ({ first, last }) => {
  const given = { stream: STREAM, partition: 3, sequence: 17, first, last }
  expect(fileName(given)).not.toContain('/')
  expect(parseFileName(fileName(given))).toEqual(given)
})

it('lastFiles() finds the last file of each partition of its stream by number, not by name', async () => {
  const dir = folder()
  for (const sequence of [1, 2, 99_999_999, 100_000_000]) {
    writeFileSync(join(dir, fileName({ ...span, sequence, last: `${sequence}` })), '')
  }
  writeFileSync(join(dir, fileName({ ...span, partition: 1 })), '')
  writeFileSync(join(dir, fileName({ ...span, stream: '00000000', sequence: 200_000_000 })), '')
  const last = await lastFiles(dir, STREAM)
  expect([...last].map(([partition, { last }]) => [partition, last])).toEqual([
    [0, '100000000'],
    [1, '9'],
  ])
})

it('lastFiles() removes unfinished files of its stream alone', async () => {
  const dir = join(folder(), 'a', 'b')
  await makeFolder(dir)
  const foreign = `${fileName({ ...span, stream: '00000000' })}.writing`
  for (const name of ['notes.txt', foreign, `${fileName(span)}.writing.2c5.tmp-0`])
    writeFileSync(join(dir, name), '')
  expect((await lastFiles(dir, STREAM)).size).toBe(0)
  expect(readdirSync(dir).toSorted()).toEqual(['notes.txt', foreign])
})

it('makeFolder() refuses a path that is a file, and names it', async () => {
  const file = join(folder(), 'file')
  writeFileSync(file, '')
  await expect(makeFolder(file)).rejects.toMatchObject({
    code: 'flag_invalid',
    message: expect.stringContaining(file),
  })
})

it('placeFile() gives a file its name once it is whole, and leaves nothing of one that failed', async () => {
  const dir = folder()
  const failing = placeFile(dir, span, async (path) => {
    writeFileSync(path, 'half')
    throw new Error('no space left on device')
  })
  await expect(failing).rejects.toThrow('no space left')
  expect(readdirSync(dir)).toEqual([])
  await placeFile(dir, span, async (path) => writeFileSync(path, 'whole'))
  expect(readdirSync(dir)).toEqual([fileName(span)])
})
