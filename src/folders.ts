import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it. Not `mkdir` with `recursive`: where a file system answers ENOENT for a folder whose
 * parent is there, as /proc does, Node tries for ever.
 * @throws the error of the file system
 */
export async function makeFolders(path: string): Promise<void> {
  const make = () => mkdir(path).catch((error: NodeJS.ErrnoException) => error)
  const failure = await make()
  if (failure?.code === 'ENOENT' && dirname(path) !== path) {
    await makeFolders(dirname(path))
    const again = await make()
    if (again && again.code !== 'EEXIST') throw again
    return
  }
  if (failure && failure.code !== 'EEXIST') throw failure
}
