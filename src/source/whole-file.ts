import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

const MAGIC = 'PAR1'
const FOOTER_BYTES_MAX = 1_048_576

/**
 * What tells a Parquet file from all others of a folder: a digest of its name, its size and its footer, which is written
 * last and says where everything else is. Undefined while the file is not whole. A touched file keeps its fingerprint;
 * one that was written anew has another.
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
    return createHash('sha256').update(`${name}\0${size}\0`).update(footer).digest('base64url').slice(0, 12)
  } finally {
    await file.close()
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.subarray(0, bytesRead)
}
