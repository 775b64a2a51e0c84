import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from './broker-backends.ts'
import type { Owner } from './redis.ts'
import { until } from './until.ts'

const SCRIPT = fileURLToPath(new URL('../../tools/cubes/main.ts', import.meta.url))
const UNPACKED = fileURLToPath(new URL('../../.tools/debian/usr/bin', import.meta.url))

export interface Cubes {
  readonly child: ChildProcess
  readonly folder: string
  readonly ended: Promise<number | null>
  stdout(): string
  stderr(): string
  /** Waits until every process is up. */
  up(): Promise<void>
  address(part: string): string
  /** The process of a role, a child of the shell that guards it. */
  pidOf(part: string): number
  /** All current descendants of this process. */
  descendants(): number[]
}

/** `npm run cubes` as a separate process in a temporary folder; it ends with the owner. */
export function startCubes(owner: Owner, args: readonly string[], folder = temporaryFolder(owner)): Cubes {
  const flags = ['--disable-warning=ExperimentalWarning', SCRIPT, '--folder', folder, ...args]
  const child = spawn(process.execPath, flags, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: [process.env['PATH'], UNPACKED].join(delimiter) },
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => {
      text[name] += chunk
    })
  const ended = once(child, 'exit').then(([code]: (number | null)[]) => code)
  owner.onTestFinished(async () => {
    // Its children end with it, even if the test fails.
    child.kill('SIGKILL')
    await ended
  })
  const descendants = () => below(child.pid ?? 0)
  return {
    child,
    folder,
    ended,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    async up() {
      const isUp = () => {
        if (child.exitCode !== null) throw new Error(text.stderr)
        return text.stderr.includes('See it at')
      }
      await until(isUp, { withinMs: 420_000, everyMs: 100, what: 'the cubes' })
    },
    address(part) {
      // As tools/cubes/state.ts writes it.
      const state = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as {
        addresses: Record<string, string>
      }
      return state.addresses[part]
    },
    pidOf(part) {
      const word = part === 'redis' ? 'redis-server' : `src/cli/main.ts ${part}`
      const found = processes().find(
        ({ pid, command }) =>
          descendants().includes(pid) && command.includes(word) && !command.includes('trap'),
      )
      if (found === undefined) throw new Error(`${part} does not run`)
      return found.pid
    },
    descendants,
  }
}

/** Whether one of these processes still runs. A zombie does not run. */
export function isAnyAlive(pids: readonly number[]): boolean {
  return processes().some(({ pid, state }) => pids.includes(pid) && !state.startsWith('Z'))
}

function processes() {
  const list = execFileSync('ps', ['-eo', 'pid=,ppid=,stat=,args='], { encoding: 'utf8', maxBuffer: 2 ** 24 })
  return [...list.matchAll(/^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/gm)].map(([, pid, parent, state, command]) => {
    return { pid: Number(pid), parent: Number(parent), state, command }
  })
}

function below(root: number): number[] {
  const all = processes()
  const found = [root]
  for (const pid of found) found.push(...all.filter(({ parent }) => parent === pid).map((entry) => entry.pid))
  // `ps` is a child of the test, not of the observed process.
  return found.slice(1)
}
