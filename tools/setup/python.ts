import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digest, note, ROOT, run, SetupError } from './process.ts'
import { ensureProgram, installDebian } from './programs.ts'

/** The Python of the tests and of training/. */
export const PYTHON = join(ROOT, '.venv', 'bin', 'python')

/**
 * Creates .venv with the pinned packages of the tests and of training/ if a list of packages has changed.
 * @throws SetupError if Python or its packages are not available
 */
export async function ensurePython(): Promise<void> {
  const lists = ['test/support/requirements.txt', 'training/requirements.txt'].map((path) => join(ROOT, path))
  const wanted = lists.map(digest).join(' ')
  const marker = join(ROOT, '.venv', '.nustream-requirements')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return
  await ensureProgram('python3')
  note('creating the Python environment of the tests (.venv)')
  const makeVenv = () => run('python3', ['-m', 'venv', '.venv'], { quiet: true })
  if ((await makeVenv()) !== 0) {
    await installDebian('python3-venv')
    if ((await makeVenv()) !== 0)
      throw new SetupError('python3 -m venv failed: install Python 3.11 or later with venv')
  }
  const packages = lists.flatMap((list) => ['-r', list])
  const pip = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...packages]
  if ((await run(PYTHON, pip, { quiet: true })) !== 0)
    throw new SetupError('pip could not install the Python packages of the tests')
  writeFileSync(marker, wanted)
}
