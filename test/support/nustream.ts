import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Owner } from './redis.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface NustreamProcess {
  readonly child: ChildProcess
  /** Its output so far. */
  stdout(): string
  stderr(): string
  /** Resolves when it has ended, with its exit code (or undefined when a signal ended it). */
  readonly ended: Promise<number | undefined>
  /** Sends a signal and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<number | undefined>
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Runs `nustream` as a separate process; it ends with the owner, and with this process. */
export function startNustream(
  args: readonly string[],
  owner?: Owner,
  options: StartOptions = {},
): NustreamProcess {
  return startScript('src/cli/main.ts', args, owner, options)
}

/** Runs a script of the repository as `startNustream` runs `nustream`. */
export function startScript(
  script: string,
  args: readonly string[],
  owner?: Owner,
  options: StartOptions = {},
): NustreamProcess {
  const flags = ['--disable-warning=ExperimentalWarning', join(ROOT, script)]
  const child = spawn(process.execPath, [...flags, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd && { cwd: options.cwd }),
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  const killOnExit = () => child.kill('SIGKILL')
  process.once('exit', killOnExit)
  const ended = once(child, 'close').then(([code]) => {
    process.off('exit', killOnExit)
    return code === null ? undefined : Number(code)
  })
  const kill = (signal: NodeJS.Signals = 'SIGKILL') => {
    child.kill(signal)
    return ended
  }
  owner?.onTestFinished(async () => void (await kill()))
  return { child, stdout: () => stdout, stderr: () => stderr, ended, kill }
}
