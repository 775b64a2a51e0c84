import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import type { CallOptions, MlflowHttp } from './http.ts'
import { type RunInfo, searchRuns, type Texts, updateRun } from './runs.ts'

const HOST = 'nustream.host'
const PROCESS = 'nustream.process'
const SPACE = 'nustream.process_space'

/** Tags that tell which process writes a run. */
export function processTags(): Texts {
  return { [HOST]: hostname(), [PROCESS]: thisProcess(), [SPACE]: processSpace() }
}

/**
 * Marks as KILLED the runs of processes that ended on this machine without a word (a power cut, the kernel's killer), so
 * that none shows as running for ever. Processes of other machines and containers are left alone: nobody can see them
 * from here.
 */
export async function endVanishedRuns(
  http: MlflowHttp,
  { run, log }: { readonly run: RunInfo; readonly log: Logger },
  options?: CallOptions,
): Promise<void> {
  const here = processTags()
  const tag = (key: string) => `tags.\`${key}\` = '${here[key].replaceAll("'", '')}'`
  const filter = `attributes.status = 'RUNNING' and ${tag(HOST)} and ${tag(SPACE)}`
  for (const { runId, tags } of await searchRuns(http, { experimentId: run.experimentId, filter }, options)) {
    const pid = Number.parseInt(tags[PROCESS], 10)
    // The same number as ours but another start: it was given before us, to one that is gone.
    const isLiving = pid === process.pid ? tags[PROCESS] === thisProcess() : isAlive(pid)
    if (runId === run.runId || isLiving) continue
    await updateRun(http, runId, { status: 'KILLED', endMs: Date.now() }, options)
    log.info({ runId, process: pid }, 'MLflow run of a process that vanished marked as killed')
  }
}

/** Numbers are given again, so the time of its start belongs to it. */
function thisProcess(): string {
  return `${process.pid} since ${new Date(performance.timeOrigin).toISOString()}`
}

/** Process numbers mean something within one of these only; `unknown` where the system has none. */
function processSpace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return 'unknown'
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
