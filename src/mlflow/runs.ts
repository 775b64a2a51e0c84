import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { z } from 'zod'
import { type CallOptions, type MlflowHttp, MlflowRefusal } from './http.ts'

export type RunStatus = 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED'

export interface RunInfo {
  readonly runId: string
  readonly experimentId: string
  readonly status: string
  /** False for a run that was deleted. */
  readonly isActive: boolean
  /** Where its artefacts live; `mlflow-artifacts:/…` where the tracking server keeps them. */
  readonly artifactUri: string
  readonly tags: Readonly<Record<string, string>>
}

/** One value of a metric. `step` counts intervals from 0. */
export interface MetricPoint {
  /** Letters, digits, `_`, `-`, `.`, `/` and spaces. */
  readonly key: string
  /** Finite. */
  readonly value: number
  /** Unix milliseconds. */
  readonly timestamp: number
  readonly step: number
}

export type Texts = Readonly<Record<string, string>>

/** What one `log-batch` takes. Source: limits of the REST API, MLflow 3 documentation. */
export const BATCH_LIMITS = { metrics: 1000, params: 100, tags: 100, entities: 1000 } as const
/** Without it MLflow's pages take an experiment for one of language models, and hide runs behind traces. */
const KIND_TAG = 'mlflow.experimentKind'
/** Longer values are cut: MLflow refuses them. */
const VALUE_CHARACTERS_MAX = 6000

const experimentId = z.object({ experiment_id: z.string() })
const experiment = z.object({ experiment: experimentId.extend({ lifecycle_stage: z.string().optional() }) })
const run = z.object({
  info: z.object({
    run_id: z.string().min(1),
    experiment_id: z.string(),
    status: z.string(),
    lifecycle_stage: z.string().default('active'),
    artifact_uri: z.string().default(''),
  }),
  data: z
    .object({ tags: z.array(z.object({ key: z.string(), value: z.string() })).default([]) })
    .prefault({}),
})
const anything = z.object({})

/** The id of the experiment of this name, which is made where there is none. */
export async function ensureExperiment(
  http: MlflowHttp,
  name: string,
  options?: CallOptions,
): Promise<string> {
  const find = async () => {
    const path = 'mlflow/experiments/get-by-name'
    return (await http.get(path, { experiment_name: name }, experiment, options)).experiment
  }
  try {
    const found = await find()
    if (found.lifecycle_stage !== 'deleted') return found.experiment_id
    const body = { experiment_id: found.experiment_id }
    await http.post('mlflow/experiments/restore', body, anything, options)
    return found.experiment_id
  } catch (error) {
    if (!isRefusal(error, 'RESOURCE_DOES_NOT_EXIST')) throw error
  }
  try {
    const tags = toPairs({ [KIND_TAG]: 'custom_model_development' })
    const made = await http.post('mlflow/experiments/create', { name, tags }, experimentId, options)
    return made.experiment_id
  } catch (error) {
    // Another part made it at the same moment.
    if (!isRefusal(error, 'RESOURCE_ALREADY_EXISTS')) throw error
    return (await find()).experiment_id
  }
}

export interface NewRun {
  readonly experimentId: string
  readonly name: string
  readonly startMs: number
  readonly tags: Texts
}

export async function createRun(
  http: MlflowHttp,
  { experimentId: id, name, startMs, tags }: NewRun,
  options?: CallOptions,
): Promise<RunInfo> {
  const body = { experiment_id: id, run_name: name, start_time: startMs, tags: toPairs(tags) }
  return toRun((await http.post('mlflow/runs/create', body, z.object({ run }), options)).run)
}

export async function getRun(http: MlflowHttp, runId: string, options?: CallOptions): Promise<RunInfo> {
  return toRun((await http.get('mlflow/runs/get', { run_id: runId }, z.object({ run }), options)).run)
}

/** Runs of an experiment that a filter of MLflow's search language lets through, newest first, at most 100. */
export async function searchRuns(
  http: MlflowHttp,
  { experimentId: id, filter }: { readonly experimentId: string; readonly filter: string },
  options?: CallOptions,
): Promise<RunInfo[]> {
  const body = { experiment_ids: [id], filter, max_results: 100 }
  const found = z.object({ runs: z.array(run).default([]) })
  return (await http.post('mlflow/runs/search', body, found, options)).runs.map(toRun)
}

/** Ends a run, or with RUNNING resumes one that had ended. */
export async function updateRun(
  http: MlflowHttp,
  runId: string,
  { status, endMs }: { readonly status: RunStatus; readonly endMs?: number },
  options?: CallOptions,
): Promise<void> {
  const body = { run_id: runId, status, ...(endMs !== undefined && { end_time: endMs }) }
  await http.post('mlflow/runs/update', body, anything, options)
}

export interface Batch {
  readonly metrics?: readonly MetricPoint[]
  readonly params?: Texts
  readonly tags?: Texts
}

/** Logs whatever its amount, in as many calls as MLflow's limits ask for. Logging the same again changes nothing. */
export async function logBatch(
  http: MlflowHttp,
  runId: string,
  { metrics = [], params = {}, tags = {} }: Batch,
  options?: CallOptions,
): Promise<void> {
  const send = (part: object) =>
    http.post('mlflow/runs/log-batch', { run_id: runId, ...part }, anything, options)
  for (const part of chunks(toPairs(params), BATCH_LIMITS.params)) await send({ params: part })
  for (const part of chunks(toPairs(tags), BATCH_LIMITS.tags)) await send({ tags: part })
  for (const part of chunks(metrics, BATCH_LIMITS.metrics)) await send({ metrics: part })
}

export function isRefusal(error: unknown, ...codes: readonly string[]): error is MlflowRefusal {
  return error instanceof MlflowRefusal && codes.includes(error.errorCode)
}

export function toPairs(texts: Texts): { key: string; value: string }[] {
  return Object.entries(texts).map(([key, value]) => ({ key, value: value.slice(0, VALUE_CHARACTERS_MAX) }))
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  )
}

function toRun({ info, data }: z.infer<typeof run>): RunInfo {
  return {
    runId: info.run_id,
    experimentId: info.experiment_id,
    status: info.status,
    isActive: info.lifecycle_stage === 'active',
    artifactUri: info.artifact_uri,
    tags: Object.fromEntries(data.tags.map(({ key, value }) => [key, value])),
  }
}

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
