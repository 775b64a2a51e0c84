import { mkdtemp, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../errors.ts'
import { makeFolders } from '../folders.ts'

/**
 * Creates the folder of a report and checks, before hours of work, that files can be created in it.
 * @throws UsageError `flag_invalid` if it is a file or is not writable
 */
export async function makeReportFolder(folder: string): Promise<void> {
  await writing(folder, async () => {
    await makeFolders(folder)
    await rmdir(await mkdtemp(join(folder, '.nustream-')))
  })
}

/** Writes files, given by name and text, into a folder of `makeReportFolder`. @throws UsageError `flag_invalid` */
export async function writeReport(
  folder: string,
  files: Iterable<readonly [name: string, text: string]>,
): Promise<void> {
  await writing(folder, async () => {
    for (const [name, text] of files) await writeFile(join(folder, name), text)
  })
}

async function writing(folder: string, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const message = `--out ${folder} is not writable (${why}); name a writable folder`
    throw new UsageError('flag_invalid', message, { cause })
  }
}
