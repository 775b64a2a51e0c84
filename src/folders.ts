import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it. Not `mkdir` with `recursive`: where a file system answers ENOENT for a folder whose
 * parent is there, as /proc does, Node tries for ever.
 * @throws the error of the file system; EEXIST where the path is a file
 */
export async function makeFolders(path: string): Promise<void> {
  try {
    await makeOne(path)
  } catch (error) {
    const isParentMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isParentMissing || dirname(path) === path) throw error
    await makeFolders(dirname(path))
    await makeOne(path)
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    if (!isThere || !(await stat(path)).isDirectory()) throw error
  }
}
