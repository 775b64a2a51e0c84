import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it, type TestContext } from 'vitest'
import { readDecompressed } from './decompress.ts'
import { FormatError } from './format-error.ts'

const TEXT = 'neutrino '.repeat(100_000)
/** `neutrino` and a line break, as bzip2 1.0.8 writes them. */
const BZIP2 = Buffer.from(
  '425a68393141592653594feb9da4000001c1800010022196002000310c0819189a37145d6f8bb9229c284827f5ced200',
  'hex',
)

function fileOf(t: TestContext, bytes: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-decompress-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'file')
  writeFileSync(path, bytes)
  return path
}

async function textOf(path: string): Promise<string> {
  return Buffer.concat(await Array.fromAsync(readDecompressed(path))).toString()
}

describe('readDecompressed()', () => {
  it.each([
    ['plain bytes', Buffer.from(TEXT)],
    ['gzip of two members', Buffer.concat([gzipSync(TEXT.slice(0, 500_000)), gzipSync(TEXT.slice(500_000))])],
    ['zstd', zstdCompressSync(TEXT)],
  ])('reads %s', async (_, bytes) => {
    const folder = mkdtempSync(join(tmpdir(), 'nustream-decompress-'))
    const path = join(folder, 'file')
    writeFileSync(path, bytes)
    expect((await textOf(path)) === TEXT).toBe(true)
    rmSync(folder, { recursive: true })
  })

  it('reads bzip2', async (t) => {
    expect(await textOf(fileOf(t, BZIP2))).toBe('neutrino\n')
  })

  it('reads an empty file', async (t) => {
    expect(await textOf(fileOf(t, new Uint8Array(0)))).toBe('')
  })

  it('names the compression of a file that is cut off', async (t) => {
    const cut = gzipSync(TEXT).subarray(0, 1_000)
    await expect(textOf(fileOf(t, cut))).rejects.toThrow(FormatError)
    await expect(textOf(fileOf(t, cut))).rejects.toThrow(/its gzip data are cut off or damaged/)
    await expect(textOf(fileOf(t, BZIP2.subarray(0, 30)))).rejects.toThrow(
      /its bzip2 data are cut off or damaged/,
    )
  })

  it('passes on that a file is missing', async () => {
    await expect(textOf('/nowhere/file')).rejects.toThrow(/ENOENT/)
  })
})
