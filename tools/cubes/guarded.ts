import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'

/**
 * Runs a program in its own process group and ends that group when the pipe on descriptor 3 closes. The kernel closes the
 * pipe when this process ends in any way, even by SIGKILL. First SIGTERM, so that the program can finish; ten seconds
 * later SIGKILL. The shell waits for the program through the SIGTERM that it sends itself, and passes on its exit code.
 */
const GUARD = `
trap : TERM INT HUP
"$@" 3<&- &
child=$!
(
  trap '' TERM INT HUP
  read -r _ <&3
  kill -TERM 0
  tries=0
  while kill -0 "$child" 2>/dev/null && [ "$tries" -lt 50 ]; do sleep 0.2; tries=$((tries + 1)); done
  kill -KILL 0
) &
exec 3<&-
while :; do
  wait "$child"
  status=$?
  kill -0 "$child" 2>/dev/null || exit "$status"
done
`

export interface Guarded {
  readonly child: ChildProcess
  /** Process group of the guard, the program and its children. */
  readonly group: number
  /** Exit code of the program, above 128 if a signal ended it; by then the whole group has ended. */
  readonly ended: Promise<number>
  signal(name: NodeJS.Signals): void
}

export interface GuardedOptions {
  readonly command: readonly string[]
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** File to which its output is appended. */
  readonly logFile: string
}

/** @throws Error if the program or its log cannot be opened */
export function startGuarded({ command, cwd, env = {}, logFile }: GuardedOptions): Guarded {
  const log = openSync(logFile, 'a')
  const child = spawn('/bin/sh', ['-c', GUARD, 'guard', ...command], {
    cwd,
    detached: true,
    stdio: ['ignore', log, log, 'pipe'],
    env: { ...process.env, ...env },
  })
  closeSync(log)
  // The pipe breaks when the program ends first.
  child.stdio[3]?.on('error', () => {})
  const group = child.pid
  if (group === undefined) throw new Error(`${command[0]} could not be started`)
  const ended = once(child, 'exit').then(([code]) => {
    signalGroup(group, 'SIGKILL')
    return typeof code === 'number' ? code : 137
  })
  return { child, group, ended, signal: (name) => signalGroup(group, name) }
}

function signalGroup(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name)
  } catch {
    // The whole group has ended.
  }
}
