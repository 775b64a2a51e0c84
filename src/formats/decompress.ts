import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { FormatError } from './format-error.ts'

/** Compressions by the bytes that a file begins with; its name says nothing. */
const MAGIC: readonly (readonly [name: string, bytes: readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
]

/**
 * The bytes of a file in pieces, decompressed where it is gzip, zstd or bzip2. Memory is bounded whatever the file holds.
 * @throws the error of the file system where it cannot be opened or read
 * @throws FormatError where it cannot be decompressed
 */
export async function* readDecompressed(path: string): AsyncGenerator<Uint8Array> {
  const compression = await compressionOf(path)
  const file = createReadStream(path, { highWaterMark: 256 * 1024 })
  const pieces = decompressed(file, compression)
  try {
    for await (const piece of pieces) yield piece as Uint8Array
  } catch (cause) {
    if (cause instanceof Error && 'syscall' in cause) throw cause
    const reason = cause instanceof Error && 'code' in cause ? ` (${cause.code})` : ''
    throw new FormatError(
      `the file cannot be decompressed: its ${compression} data are cut off or damaged${reason}`,
      { cause },
    )
  } finally {
    file.destroy()
  }
}

async function compressionOf(path: string): Promise<string> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0)
  const found = MAGIC.find(
    ([, magic]) => bytesRead >= magic.length && magic.every((byte, i) => buffer[i] === byte),
  )
  return found?.[0] ?? 'none'
}

function decompressed(file: Readable, compression: string): AsyncIterable<unknown> {
  if (compression === 'none') return file
  if (compression === 'bzip2') return bunzip(file)
  // `pipeline` hands an error of the file on to the reader of the last stream.
  return pipeline(file, compression === 'gzip' ? createGunzip() : createZstdDecompress(), () => {})
}

/** The package is a stream of Node 0.10, which decompresses within each write and has no back pressure: it is driven by hand. */
async function* bunzip(file: Readable): AsyncGenerator<Uint8Array> {
  const { default: unbzip2 } = await import('unbzip2-stream')
  const stream = unbzip2()
  const pieces: Uint8Array[] = []
  const failures: unknown[] = []
  stream.on('data', (piece: Uint8Array) => pieces.push(piece))
  stream.on('error', (error: unknown) => failures.push(error))
  const taken = (): Uint8Array[] => {
    if (failures.length > 0) throw failures[0]
    return pieces.splice(0)
  }
  for await (const piece of file) {
    stream.write(piece as Uint8Array)
    yield* taken()
  }
  stream.end()
  yield* taken()
}
