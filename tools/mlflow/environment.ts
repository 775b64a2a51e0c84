import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const requirements = join(root, 'tools/mlflow/requirements.txt')
const folder = join(root, '.tools/mlflow')
const lock = join(root, '.tools/mlflow.lock')
const marker = join(folder, '.nustream-requirements')
const INSTALL_WITHIN_MS = 1_800_000
const POLL_MS = 500

/** Environment of a server without its workers for language models, which take half a minute to start and 1 GB. */
export const QUIET_MLFLOW = {
  MLFLOW_SERVER_ENABLE_JOB_EXECUTION: 'false',
  MLFLOW_DISABLE_TELEMETRY: 'true',
  DO_NOT_TRACK: 'true',
} as const

/**
 * Path of the `mlflow` program in the environment `.tools/mlflow`, which is created if it is missing (850 MB; two to five
 * minutes). Of concurrent processes one creates it and the others wait. Undefined only if NUSTREAM_TEST_OFFLINE=1 and
 * there is no such environment.
 * @throws Error in one sentence if it cannot be created
 */
export async function ensureMlflow(): Promise<string | undefined> {
  const program = join(folder, 'bin/mlflow')
  if (isInstalled()) return program
  if (process.env['NUSTREAM_TEST_OFFLINE'] === '1') return undefined
  mkdirSync(join(root, '.tools'), { recursive: true })
  const deadline = performance.now() + INSTALL_WITHIN_MS
  while (!takeLock()) {
    if (performance.now() > deadline) throw new Error(`${lock} is held by another process: remove it`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  try {
    // Another process may have created it meanwhile.
    if (!isInstalled()) await install()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
  return program
}

function isInstalled(): boolean {
  return existsSync(marker) && readFileSync(marker, 'utf8') === readFileSync(requirements, 'utf8')
}

async function install(): Promise<void> {
  process.stderr.write(
    'nustream: creating the environment of MLflow (.tools/mlflow); this takes some minutes\n',
  )
  const pip = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '-r', requirements]
  await runToEnd('python3', ['-m', 'venv', folder])
  await runToEnd(join(folder, 'bin/python'), pip)
  writeFileSync(marker, readFileSync(requirements, 'utf8'))
}

async function runToEnd(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    signal: AbortSignal.timeout(INSTALL_WITHIN_MS),
  })
  let text = ''
  child.stderr.on('data', (chunk: Buffer) => {
    text = `${text}${chunk}`.slice(-2000)
  })
  const remedy =
    'MLflow needs Python 3.11 or later with venv and pip; install them, or set NUSTREAM_TEST_OFFLINE=1 to skip its tests'
  const [code] = await once(child, 'close').catch((cause: unknown) => {
    throw new Error(remedy, { cause })
  })
  if (code !== 0) throw new Error(`${remedy}: ${text}`)
}

/** The lock is a folder, since mkdir is atomic. A lock whose owner has ended is removed. */
function takeLock(): boolean {
  try {
    mkdirSync(lock)
    writeFileSync(join(lock, 'pid'), String(process.pid))
    return true
  } catch {
    const pidFile = join(lock, 'pid')
    if (existsSync(pidFile) && !isAlive(Number(readFileSync(pidFile, 'utf8'))))
      rmSync(lock, { recursive: true, force: true })
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

if (import.meta.main) await ensureMlflow()
