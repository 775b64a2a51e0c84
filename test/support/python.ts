import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const requirements = join(root, 'test/support/requirements.txt')
const folder = join(root, '.venv')
const lock = join(root, 'node_modules/.nustream-python.lock')
const INSTALL_WITHIN_MS = 600_000

/**
 * Path of the Python of the project's `.venv`, which is created with the packages of requirements.txt if it is missing.
 * Of concurrent test files, one creates it and the others wait. Undefined only if NUSTREAM_TEST_OFFLINE=1 and there is no
 * such Python; tests that need it are then skipped.
 * @throws Error in one sentence if Python or its packages are not available
 */
export async function openPython(): Promise<string | undefined> {
  const python = join(folder, 'bin/python')
  if (isInstalled()) return python
  if (process.env['NUSTREAM_TEST_OFFLINE'] === '1') return undefined
  await until(takeLock, { withinMs: INSTALL_WITHIN_MS, everyMs: 200, what: `the lock ${lock}` })
  try {
    // Another test file may have created it meanwhile.
    if (!isInstalled()) await install(python)
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
  return python
}

/** Reason for skipping a test that needs Python. */
export const NO_PYTHON = 'NUSTREAM_TEST_OFFLINE=1 is set and there is no .venv'

export interface RunPythonOptions {
  readonly input?: Uint8Array
  readonly cwd?: string
  readonly withinMs?: number
}

/**
 * Runs a Python program to its end and returns its stdout.
 * @throws Error with its stderr if it fails or exceeds its time limit (default 60 s)
 */
export async function runPython(
  python: string,
  args: readonly string[],
  { input, cwd = root, withinMs = 60_000 }: RunPythonOptions = {},
): Promise<Buffer> {
  const child = spawn(python, args, { cwd, signal: AbortSignal.timeout(withinMs) })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  // A program that ends without reading its input is judged by its exit code.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) {
    throw new Error(`${python} ${args.join(' ').slice(0, 200)} ended with ${code}: ${Buffer.concat(err)}`)
  }
  return Buffer.concat(out)
}

/** `npm test` keeps a marker that begins with the digest of our list; this helper a marker of its own. */
function isInstalled(): boolean {
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex')
  return ['.nustream-requirements', '.nustream-test-requirements'].some((name) => {
    const marker = join(folder, name)
    return existsSync(marker) && readFileSync(marker, 'utf8').startsWith(wanted)
  })
}

async function install(python: string): Promise<void> {
  const steps = [
    { command: 'python3', args: ['-m', 'venv', folder] },
    {
      command: python,
      args: ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '-r', requirements],
    },
  ]
  for (const { command, args } of steps) {
    try {
      await runPython(command, args, { withinMs: INSTALL_WITHIN_MS })
    } catch (cause) {
      throw new Error(
        `this test needs Python 3.11 or later with venv and pip, and could not install ${requirements}; ` +
          'install python3 and python3-venv, or set NUSTREAM_TEST_OFFLINE=1 to skip the tests that need it',
        { cause },
      )
    }
  }
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex')
  writeFileSync(join(folder, '.nustream-test-requirements'), digest)
}

/** The lock is a folder, since mkdir is atomic. A lock whose owner has ended is removed. */
function takeLock(): boolean {
  try {
    mkdirSync(lock)
    writeFileSync(join(lock, 'pid'), String(process.pid))
    return true
  } catch {
    const pidFile = join(lock, 'pid')
    if (existsSync(pidFile) && !isAlive(Number(readFileSync(pidFile, 'utf8')))) {
      rmSync(lock, { recursive: true, force: true })
    }
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
