import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import { sleep } from '../async/deadline.ts'
import { createBackoff, retry } from '../async/retry.ts'
import { Signal } from '../async/signal.ts'
import { UnavailableError, UsageError } from '../errors.ts'
import { createRepeatLimit } from '../telemetry/log.ts'
import { uploadArtifact } from './artifacts.ts'
import type { MlflowHttp } from './http.ts'
import type { MlflowFailure, MlflowMetrics } from './metrics.ts'
import {
  createRun,
  ensureExperiment,
  getRun,
  isRefusal,
  logBatch,
  type MetricPoint,
  type RunInfo,
  type RunStatus,
  searchRuns,
  type Texts,
  updateRun,
} from './runs.ts'

export interface RunLogOptions {
  readonly http: MlflowHttp
  readonly experiment: string
  readonly name: string
  /** Of the run from its start. */
  readonly tags: Texts
  readonly metrics: MlflowMetrics
  readonly log: Logger
  /** Points that may wait while MLflow is away (default `BUFFER_POINTS`); beyond them the oldest are dropped. */
  readonly bufferPointsMax?: number
  /** Pauses after failures double from the first to the last. */
  readonly pauseMs?: { readonly first: number; readonly last: number }
  /** Called once with each run that was made, before it is used. */
  readonly onRun?: (run: RunInfo, signal: AbortSignal) => Promise<void>
}

/** Points that wait at most unless the options say otherwise: ten hours of 14 values each 10 s. */
export const BUFFER_POINTS = 50_000

/** How a run log ended. */
export interface RunLogEnd {
  readonly runId: string | undefined
  /** MLflow knows how the run ended, and has all that was kept for it. */
  readonly isComplete: boolean
  readonly unsentPoints: number
}

/** Few enough that a database on a slow disk takes them within the deadline. */
const POINTS_PER_CALL = 500
const CALL_WITHIN_MS = 30_000
const END_PAUSE_MS = 200
const START_TAG = 'nustream.start'

/**
 * One run in MLflow, written from the side: what is given is kept and sent by a loop of its own, so that nothing here
 * ever waits for MLflow except `end`, which has a deadline. While MLflow is away points wait in a bounded buffer; when
 * it comes back the same run goes on.
 */
export class RunLog {
  readonly #options: RunLogOptions
  readonly #buffer: PointBuffer
  readonly #start = randomUUID()
  readonly #startMs = Date.now()
  readonly #limit = createRepeatLimit(60_000)
  readonly #params = new Map<string, string>()
  readonly #tags = new Map<string, string>()
  /** Names of parameters and tags that MLflow has not got yet. */
  readonly #unsent = { params: new Set<string>(), tags: new Set<string>() }
  readonly #files = new Map<string, string>()
  readonly #cut = new AbortController()
  readonly #sending: Promise<void>
  #run: RunInfo | undefined
  #wasAsked = false
  #hasFailed = false
  #isEnding = false
  /** There is something to send, or the end is near. */
  readonly #work = new Signal()
  /** The end is near. */
  readonly #ending = new Signal()

  constructor(options: RunLogOptions) {
    this.#options = options
    this.#buffer = new PointBuffer(options.bufferPointsMax ?? BUFFER_POINTS)
    options.metrics.bufferLimitPoints.set(this.#buffer.limit)
    this.#sending = this.#send()
  }

  get runId(): string | undefined {
    return this.#run?.runId
  }

  /** MLflow has the run and took what it was last sent, and one call can send the rest. */
  get isUpToDate(): boolean {
    return this.#run !== undefined && !this.#hasFailed && this.#buffer.size <= POINTS_PER_CALL
  }

  /** Keeps points for sending; those that are not finite are left out. */
  addPoints(points: readonly MetricPoint[]): void {
    const { metrics } = this.#options
    metrics.droppedPoints.inc(this.#buffer.add(points.filter(({ value }) => Number.isFinite(value))))
    this.#changed()
  }

  /** The first value of a parameter stays: MLflow allows no other. */
  setParams(params: Texts): void {
    for (const [key, value] of Object.entries(params)) {
      if (this.#params.has(key)) continue
      this.#params.set(key, value)
      this.#unsent.params.add(key)
    }
    this.#changed()
  }

  setTags(tags: Texts): void {
    for (const [key, value] of Object.entries(tags)) {
      this.#tags.set(key, value)
      this.#unsent.tags.add(key)
    }
    this.#changed()
  }

  /** Uploads a file, or what lies there when its turn comes; a later call with the same path replaces it. */
  putFile(path: string, file: string): void {
    this.#files.set(path, file)
    this.#changed()
  }

  /**
   * Sends what is left and tells MLflow how the run ended. Returns within `withinMs`, whatever MLflow does, and says
   * in the log what it never got.
   */
  async end(status: RunStatus, withinMs: number): Promise<RunLogEnd> {
    const deadline = performance.now() + withinMs
    // A file that takes too long must not cost the run its end.
    const cut = setTimeout(() => this.#cut.abort(new Error('the time for MLflow is over')), 0.75 * withinMs)
    this.#isEnding = true
    this.#ending.notify()
    this.#work.notify()
    await this.#sending
    clearTimeout(cut)
    this.#cut.abort()
    const isTold = await this.#tellEnd(status, deadline)
    const unsentPoints = this.#buffer.size
    const { metrics, log, http } = this.#options
    metrics.droppedPoints.inc(this.#buffer.oldest(unsentPoints).remove())
    metrics.bufferedPoints.set(0)
    const isComplete = isTold && unsentPoints + this.#files.size === 0
    const facts = {
      runId: this.runId,
      status,
      unsentPoints,
      unsentFiles: [...this.#files.keys()],
      mlflow: http.name,
    }
    if (isComplete) log.info(facts, 'MLflow run ended')
    else
      log.warn(facts, 'MLflow was away or too slow at the end: its run is incomplete; no prediction is lost')
    return { runId: this.runId, isComplete, unsentPoints }
  }

  #changed(): void {
    this.#options.metrics.bufferedPoints.set(this.#buffer.size)
    this.#work.notify()
  }

  /** The loop: sends what there is, pauses after a failure, and returns when all is sent and the end is near. */
  async #send(): Promise<void> {
    const { first, last } = this.#options.pauseMs ?? { first: 500, last: 30_000 }
    const backoff = createBackoff({ firstMs: first, capMs: last })
    const { signal } = this.#cut
    while (!signal.aborted) {
      try {
        await this.#sendAll()
        backoff.reset()
        if (this.#isEnding && !this.#hasWork()) return
        if (!this.#hasWork()) await this.#work.wait(undefined, signal)
      } catch (error) {
        if (signal.aborted) return
        this.#failed(error)
        // New points end no pause after a failure; the end does, and near it there is no time for long ones.
        if (this.#isEnding) await sleep(first, signal)
        else await this.#ending.wait(backoff.nextMs(), signal)
      }
    }
  }

  #hasWork(): boolean {
    const { params, tags } = this.#unsent
    return this.#buffer.size + params.size + tags.size + this.#files.size > 0 || this.#run === undefined
  }

  async #sendAll(): Promise<void> {
    const { http, metrics, log } = this.#options
    const options = { signal: this.#cut.signal, timeoutMs: CALL_WITHIN_MS }
    this.#run ??= await this.#openRun()
    if (this.#hasFailed) await this.#resume(this.#run)
    const { runId, artifactUri } = this.#run
    await this.#sendTexts(runId)
    while (this.#buffer.size > 0) {
      const { points, remove } = this.#buffer.oldest(POINTS_PER_CALL)
      await this.#orGiveUp(() => logBatch(http, runId, { metrics: points }, options), {
        done: () => metrics.sentPoints.inc(points.length),
        refused: () => metrics.droppedPoints.inc(points.length),
      })
      remove()
      this.#worked()
    }
    for (const [path, file] of this.#files) {
      await this.#orGiveUp(() => uploadArtifact(http, artifactUri, { path, file }, options), {
        done: () => metrics.artifacts.inc(),
        refused: () => log.warn({ path }, 'file not taken by MLflow'),
      })
      if (this.#files.get(path) === file) this.#files.delete(path)
    }
    this.#worked()
  }

  async #sendTexts(runId: string): Promise<void> {
    const options = { signal: this.#cut.signal, timeoutMs: CALL_WITHIN_MS }
    const pick = (from: Map<string, string>, keys: readonly string[]) =>
      Object.fromEntries(keys.map((key) => [key, from.get(key) ?? '']))
    const [params, tags] = [[...this.#unsent.params], [...this.#unsent.tags]]
    if (params.length + tags.length === 0) return
    const batch = { params: pick(this.#params, params), tags: pick(this.#tags, tags) }
    await this.#orGiveUp(() => logBatch(this.#options.http, runId, batch, options), {})
    for (const key of params) this.#unsent.params.delete(key)
    for (const key of tags) if (this.#tags.get(key) === batch.tags[key]) this.#unsent.tags.delete(key)
  }

  /**
   * What MLflow refuses for good must not hold up what comes behind it. A run that is gone is no such case.
   */
  async #orGiveUp(
    work: () => Promise<void>,
    { done, refused }: { done?: () => void; refused?: () => void },
  ): Promise<void> {
    try {
      await work()
      done?.()
    } catch (error) {
      const isFinal = error instanceof UsageError && error.code === 'mlflow_refused'
      if (!isFinal || !(await this.#isRunThere())) throw error
      this.#failed(error)
      this.#hasFailed = false
      refused?.()
    }
  }

  async #isRunThere(): Promise<boolean> {
    try {
      const { runId = '' } = this
      return (await getRun(this.#options.http, runId, { signal: this.#cut.signal })).isActive
    } catch (error) {
      if (!isRefusal(error, 'RESOURCE_DOES_NOT_EXIST')) throw error
      return false
    }
  }

  /** Makes the run. Where an earlier try may have made it without our hearing of it, looks for it first. */
  async #openRun(): Promise<RunInfo> {
    const { http, experiment, name, tags, log, onRun } = this.#options
    const options = { signal: this.#cut.signal }
    const experimentId = await ensureExperiment(http, experiment, options)
    const filter = `tags.\`${START_TAG}\` = '${this.#start}'`
    const known = this.#wasAsked ? await searchRuns(http, { experimentId, filter }, options) : []
    this.#wasAsked = true
    const wanted = { experimentId, name, startMs: this.#startMs, tags: { ...tags, [START_TAG]: this.#start } }
    const run = known.at(0) ?? (await createRun(http, wanted, options))
    this.#worked()
    for (const key of this.#params.keys()) this.#unsent.params.add(key)
    for (const key of this.#tags.keys()) this.#unsent.tags.add(key)
    const url = new URL(`#/experiments/${run.experimentId}/runs/${run.runId}`, http.base).href
    log.info({ runId: run.runId, url }, 'logging to an MLflow run')
    await onRun?.(run, this.#cut.signal)
    return run
  }

  /** After MLflow was away: the same run goes on, also where somebody ended it meanwhile; a new one where it is gone. */
  async #resume({ runId }: RunInfo): Promise<void> {
    const { http, log } = this.#options
    const options = { signal: this.#cut.signal }
    try {
      const { status, isActive } = await getRun(http, runId, options)
      if (!isActive) return await this.#replaceRun(runId)
      if (status !== 'RUNNING') await updateRun(http, runId, { status: 'RUNNING' }, options)
      log.info({ runId, mlflow: http.name }, 'MLflow is back, the run goes on')
      this.#hasFailed = false
    } catch (error) {
      if (!isRefusal(error, 'RESOURCE_DOES_NOT_EXIST')) throw error
      await this.#replaceRun(runId)
    }
  }

  async #replaceRun(runId: string): Promise<void> {
    this.#options.log.warn({ runId }, 'MLflow no longer has the run: beginning another')
    this.#run = undefined
    this.#wasAsked = false
    this.#run = await this.#openRun()
  }

  async #tellEnd(status: RunStatus, deadline: number): Promise<boolean> {
    const { http } = this.#options
    const runId = this.#run?.runId
    const leftMs = deadline - performance.now()
    if (runId === undefined || leftMs <= 0) return false
    try {
      const signal = AbortSignal.timeout(Math.ceil(leftMs))
      await retry(() => updateRun(http, runId, { status, endMs: Date.now() }, { signal }), {
        signal,
        backoff: { firstMs: END_PAUSE_MS, capMs: END_PAUSE_MS },
        isTransient: () => true,
        onRetry: (error) => this.#failed(error),
      })
      return true
    } catch {
      // The time is over: the log says what MLflow lacks.
      return false
    }
  }

  #worked(): void {
    this.#hasFailed = false
    this.#options.metrics.up.set(1)
    this.#options.metrics.bufferedPoints.set(this.#buffer.size)
  }

  #failed(error: unknown): void {
    const { metrics, log, http } = this.#options
    const reason = reasonOf(error)
    this.#hasFailed = true
    metrics.up.set(0)
    metrics.failures.inc({ reason })
    const bufferedPoints = this.#buffer.size
    this.#limit(reason, (repeats) =>
      log.warn(
        { err: error, mlflow: http.name, bufferedPoints, repeats },
        'MLflow does not take what it is sent',
      ),
    )
  }
}

function reasonOf(error: unknown): MlflowFailure {
  if (error instanceof UnavailableError) return 'unreachable'
  return error instanceof UsageError && error.code === 'unauthorized' ? 'unauthorized' : 'refused'
}

/** Points in the order they came, bounded: where there is no room the oldest go. */
export class PointBuffer {
  readonly limit: number
  #points: MetricPoint[] = []
  /** Points that have left the front, sent or dropped. */
  #left = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.#points.length
  }

  /** Gives how many had to go for them. */
  add(points: readonly MetricPoint[]): number {
    this.#points.push(...points)
    return this.#drop(this.#points.length - this.limit)
  }

  /** The oldest points, and how to take them out once they are sent, whatever came or went meanwhile. */
  oldest(most: number): { readonly points: readonly MetricPoint[]; remove(): number } {
    const points = this.#points.slice(0, most)
    const until = this.#left + points.length
    return { points, remove: () => this.#drop(until - this.#left) }
  }

  #drop(count: number): number {
    if (count <= 0) return 0
    this.#points.splice(0, count)
    this.#left += count
    return count
  }
}
