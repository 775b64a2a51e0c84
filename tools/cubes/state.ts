import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ports } from './ports.ts'

/** The running or last run cubes, for people, tests and the next start. */
export interface CubesState {
  readonly pid: number
  readonly startedAt: string
  readonly ports: Ports
  readonly addresses: Readonly<Record<string, string>>
}

export function readState(folder: string): CubesState | undefined {
  const path = join(folder, 'state.json')
  if (!existsSync(path)) return undefined
  try {
    // Written below.
    return JSON.parse(readFileSync(path, 'utf8')) as CubesState
  } catch {
    return undefined
  }
}

export function writeState(folder: string, state: CubesState): void {
  const path = join(folder, 'state.json')
  writeFileSync(`${path}.new`, `${JSON.stringify(state, undefined, 2)}\n`)
  renameSync(`${path}.new`, path)
}

/** Whether the cubes of this state still run. */
export function isRunning({ pid }: CubesState): boolean {
  try {
    process.kill(pid, 0)
    return pid !== process.pid
  } catch {
    return false
  }
}
