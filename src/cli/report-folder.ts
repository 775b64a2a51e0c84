import { mkdir, mkdtemp, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../errors.ts'

/**
 * Makes the folder of a report and tries that files can be made in it, before hours of work are spent on them.
 * @throws UsageError `flag_invalid` where it is a file, or cannot be written to
 */
export async function makeReportFolder(folder: string): Promise<void> {
  await writing(folder, async () => {
    await mkdir(folder, { recursive: true })
    await rmdir(await mkdtemp(join(folder, '.nustream-')))
  })
}

/** Writes files, named and with their text, into a folder of `makeReportFolder`. @throws UsageError `flag_invalid` */
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
    const message = `--out ${folder} takes no files (${why}); name a folder that can be written to`
    throw new UsageError('flag_invalid', message, { cause })
  }
}
