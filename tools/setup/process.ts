import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Folder of downloads of the npm scripts. */
export const CACHE = join(ROOT, '.tools')
/** Folder of Debian packages that are unpacked, not installed. */
export const UNPACKED = join(CACHE, 'debian')

/** Ends a task with one sentence that names the problem and the remedy. */
export class SetupError extends Error {
  /** Exit code of the task. */
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

export interface RunOptions {
  /** Default: the root of the repository. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Sends its output to stderr, because stdout belongs to the task. */
  readonly quiet?: boolean
}

/**
 * Runs a program to its end on this terminal. Returns its exit code, or 128 plus the signal that ended it.
 * @throws SetupError if it cannot be started
 */
export async function run(
  command: string,
  args: readonly string[],
  { cwd = ROOT, env = {}, quiet = false }: RunOptions = {},
): Promise<number> {
  const child = spawn(command, args, {
    cwd,
    stdio: ['inherit', quiet ? 2 : 'inherit', 'inherit'],
    env: { ...process.env, PATH: searchPath(), ...env },
  })
  // A terminal sends Ctrl-C to the child as well, which then finishes its work: wait for it.
  const ignore = () => {}
  const forward = () => child.kill('SIGTERM')
  process.on('SIGINT', ignore).on('SIGTERM', forward)
  try {
    const [status, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    return status ?? (signal === 'SIGINT' ? 130 : signal === 'SIGKILL' ? 137 : 143)
  } catch (cause) {
    throw new SetupError(`${command} could not be started: ${(cause as Error).message}`)
  } finally {
    process.off('SIGINT', ignore).off('SIGTERM', forward)
  }
}

/** Runs a TypeScript or JavaScript file on this Node. */
export function node(args: readonly string[], options?: RunOptions): Promise<number> {
  return run(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], options)
}

/** Path of the program of an npm package. */
export function bin(packageName: string, name: string, args: readonly string[], options?: RunOptions) {
  const folder = join(ROOT, 'node_modules', packageName)
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    bin: string | Record<string, string>
  }
  const path = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[name]
  return run(process.execPath, [join(folder, path), ...args], options)
}

export function isOnPath(command: string): boolean {
  const folders = [...searchPath().split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.some((folder) => folder !== '' && existsSync(join(folder, command)))
}

function searchPath(): string {
  const unpacked = join(UNPACKED, 'usr', 'bin')
  return [dirname(process.execPath), process.env['PATH'], unpacked].join(delimiter)
}

/** Digest of a file; `none` if it does not exist. */
export function digest(path: string): string {
  return existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'none'
}

export function note(text: string): void {
  process.stderr.write(`nustream: ${text}\n`)
}
