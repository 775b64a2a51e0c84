import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

const MAGIC = 'PAR1'
const FOOTER_BYTES_MAX = 1_048_576
const SAMPLES = 64
const SAMPLE_BYTES = 4096

/**
 * What tells a Parquet file from all others of a folder: a digest of its name, its size, its footer, which is written
 * last and says where everything else is, and 64 samples of 4 kB of its data, because files without statistics and
 * compression may share their footers. Undefined while the file is not whole. A touched file keeps its fingerprint; one
 * that was written anew has another.
 */
export async function fingerprintWhole(path: string, name: string): Promise<string | undefined> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size < 12 || (await readAt(file, 0, 4)).toString('latin1') !== MAGIC) return undefined
    const end = await readAt(file, size - 8, 8)
    const footerBytes = end.readUInt32LE(0)
    if (end.toString('latin1', 4) !== MAGIC || footerBytes > size - 12) return undefined
    const length = Math.min(footerBytes + 8, FOOTER_BYTES_MAX)
    const footer = await readAt(file, size - length, length)
    const digest = createHash('sha256').update(`${name}\0${size}\0`).update(footer)
    const stride = Math.max(SAMPLE_BYTES, Math.floor(size / SAMPLES))
    for (let at = 0; at < size; at += stride) digest.update(await readAt(file, at, SAMPLE_BYTES))
    return digest.digest('base64url').slice(0, 12)
  } finally {
    await file.close()
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}
