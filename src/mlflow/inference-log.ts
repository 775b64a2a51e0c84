import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { OutOfTime, within } from '../async/deadline.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { LogHistogram } from '../telemetry/log-histogram.ts'
import { ErrorCounts, renderErrors, renderSky, SkyCounts } from './plots.ts'
import type { RunLog, RunLogEnd } from './run-log.ts'
import type { RunStatus, Texts } from './runs.ts'

/** Facts of one settled batch. */
export interface SettledFacts {
  readonly predicted: number
  readonly deadLettered: number
  /** Undefined where the producer did not say when it was emitted. */
  readonly latencyMs: number | undefined
  readonly predictions: PredictionBatch | undefined
  /** NaN where there is no truth. [predicted], radians */
  readonly angularErrors: Float64Array | undefined
}

/** Statistics of the batches of an interval, in a few kilobytes. */
export class Interval {
  readonly startedAt = performance.now()
  readonly #latencyMs = new LogHistogram()
  #predicted = 0
  #deadLettered = 0
  #degenerate = 0
  #errors = { sum: 0, count: 0 }
  #kappas = { sum: 0, count: 0 }

  add({ predicted, deadLettered, latencyMs, predictions, angularErrors }: SettledFacts): void {
    this.#predicted += predicted
    this.#deadLettered += deadLettered
    if (latencyMs !== undefined) this.#latencyMs.add(latencyMs, predicted)
    for (const flag of predictions?.degenerate ?? []) this.#degenerate += flag
    addKnown(this.#errors, angularErrors)
    addKnown(this.#kappas, predictions?.kappa)
  }

  get events(): number {
    return this.#predicted + this.#deadLettered
  }

  /** Values by name; NaN where there was nothing to measure. Times in milliseconds, angles in radians. */
  values(now = performance.now()): Record<string, number> {
    const seconds = (now - this.startedAt) / 1000
    return {
      events: this.#predicted,
      events_per_second: seconds > 0 ? this.#predicted / seconds : Number.NaN,
      dead_letters: this.#deadLettered,
      degenerate_events: this.#degenerate,
      latency_p50_ms: this.#latencyMs.quantile(0.5),
      latency_p99_ms: this.#latencyMs.quantile(0.99),
      mean_angular_error_rad: this.#errors.sum / this.#errors.count,
      mean_kappa: this.#kappas.sum / this.#kappas.count,
    }
  }
}

function addKnown(mean: { sum: number; count: number }, values: Float64Array | undefined): void {
  for (const value of values ?? []) {
    if (Number.isNaN(value)) continue
    mean.sum += value
    mean.count++
  }
}

/** Most events that the sample takes of one batch. */
const EVENTS_PER_BATCH_MAX = 512

/**
 * A bounded sample of batches, spread evenly over all that were offered: every n-th is kept. When it is full, every second
 * batch is removed and n doubles.
 */
export class ThinnedSample {
  readonly #eventsMax: number
  #kept: PredictionBatch[] = []
  #events = 0
  #every = 1
  #offered = 0

  constructor(eventsMax: number) {
    this.#eventsMax = eventsMax
  }

  get batches(): readonly PredictionBatch[] {
    return this.#kept
  }

  offer(batch: PredictionBatch): void {
    if (this.#offered++ % this.#every !== 0) return
    const copy = firstEvents(batch)
    this.#kept.push(copy)
    this.#events += copy.eventIds.length
    while (this.#events > this.#eventsMax && this.#kept.length > 1) {
      const kept = this.#kept.filter((_, index) => index % 2 === 0)
      this.#kept = kept
      this.#events = kept.reduce((sum, { eventIds }) => sum + eventIds.length, 0)
      this.#every *= 2
    }
  }
}

/** Copies the columns, which may be views of memory that also holds the pulses. */
function firstEvents(batch: PredictionBatch): PredictionBatch {
  // The same keys with the same kinds of columns.
  return cut(batch) as PredictionBatch
}

/** Cuts typed arrays, also in nested objects; keeps other values. */
function cut(value: unknown): unknown {
  // Every column is a typed array, and a DataView is none.
  if (ArrayBuffer.isView(value)) return (value as Float64Array).slice(0, EVENTS_PER_BATCH_MAX)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, cut(inner)]))
}

export interface InferenceLogOptions {
  /** The first run; ended with this log, or when the next begins. */
  readonly run: RunLog
  /** A new run begins after this time: MLflow's pages and files of one run do not grow for months. */
  readonly next?: { readonly afterMs: number; readonly open: () => RunLog } | undefined
  readonly params: Texts
  readonly log: Logger
  /** Metrics are logged this often. */
  readonly intervalMs: number
  /** Sample and pictures are uploaded this often, and at the end. */
  readonly filesEveryMs: number
  /** More values of an interval, by name: drift, retries. */
  readonly gauges?: () => Promise<Readonly<Record<string, number>>>
  readonly writeSample: (path: string, batches: readonly PredictionBatch[]) => Promise<void>
}

const SAMPLE_EVENTS_MAX = 5_000
/** The run before may take so long to end while the next one has begun. */
const NEXT_RUN_END_MS = 60_000

/**
 * Logs a consumer's work to MLflow: parameters, metrics per interval, a sample of predictions and plots. The consumer
 * only calls `settled`, which counts and returns; everything else is asynchronous.
 */
export class InferenceLog {
  readonly #options: InferenceLogOptions
  #run: RunLog
  #runBegan = performance.now()
  #isOver = false
  #sample = new ThinnedSample(SAMPLE_EVENTS_MAX)
  #sky = new SkyCounts()
  #errors = new ErrorCounts()
  #whole = new Interval()
  /** The run before, while it is being ended. */
  #ending: Promise<unknown> = Promise.resolve()
  readonly #timers: NodeJS.Timeout[]
  #interval = new Interval()
  #step = 0
  #model = ''
  #folder: string | undefined
  #filesUnderWay: Promise<void> = Promise.resolve()
  #isWriting = false
  #filesWritten = 0

  constructor(options: InferenceLogOptions) {
    this.#options = options
    this.#run = options.run
    this.#run.setParams(options.params)
    this.#timers = [
      setInterval(() => void this.#onInterval(), options.intervalMs).unref(),
      setInterval(() => {
        if (!this.#isWriting) void this.#logFiles()
      }, options.filesEveryMs).unref(),
    ]
  }

  /** Counts a settled batch. Never throws. */
  settled(facts: SettledFacts): void {
    this.#interval.add(facts)
    this.#whole.add(facts)
    const { predictions, angularErrors } = facts
    if (!predictions) return
    this.#sample.offer(predictions)
    this.#sky.add(predictions)
    if (angularErrors) this.#errors.add(angularErrors)
    this.#noteModel(predictions.origin)
  }

  /** Logs what is left, ends the run, and returns within `withinMs`. */
  async end(status: RunStatus, withinMs: number): Promise<RunLogEnd> {
    // A tenth of the time is for cleaning up.
    const deadline = performance.now() + 0.9 * withinMs
    this.#isOver = true
    for (const timer of this.#timers) clearInterval(timer)
    await this.#logInterval()
    this.#logTotals()
    await withinOrLeft(() => this.#logFiles(), withinMs / 3)
    const end = await this.#run.end(status, Math.max(0, deadline - performance.now()))
    await withinOrLeft(
      async () => {
        await this.#ending
        await this.#removeFiles()
      },
      deadline + 0.1 * withinMs - performance.now(),
    )
    return end
  }

  /** The parameter is the model at the start; a swapped one shows in the tags. */
  #noteModel({ model, modelVersion }: PredictionBatch['origin']): void {
    const name = `${model} ${modelVersion}`
    if (name === this.#model) return
    this.#model = name
    this.#run.setParams({ model, model_version: modelVersion })
    this.#run.setTags({ 'nustream.model': model, 'nustream.model_version': modelVersion })
  }

  async #onInterval(): Promise<void> {
    await this.#logInterval()
    const { next } = this.#options
    if (next && performance.now() - this.#runBegan >= next.afterMs) await this.#beginNext(next.open)
  }

  /** Ends the run and begins another; not now where MLflow is behind, so that the run before loses nothing. */
  async #beginNext(open: () => RunLog): Promise<void> {
    const before = this.#run
    if (!before.isUpToDate) return
    this.#runBegan = performance.now()
    await this.#logFiles()
    if (this.#isOver) return
    // In one turn with the new counters, so that no event that is settled meanwhile is in neither run.
    this.#logTotals()
    const { params, log } = this.#options
    this.#run = open()
    this.#run.setParams(params)
    this.#run.setTags({ 'nustream.previous_run': before.runId ?? '' })
    this.#sample = new ThinnedSample(SAMPLE_EVENTS_MAX)
    this.#sky = new SkyCounts()
    this.#errors = new ErrorCounts()
    this.#whole = new Interval()
    this.#step = 0
    this.#model = ''
    this.#ending = before
      .end('FINISHED', NEXT_RUN_END_MS)
      .catch((err: unknown) => log.warn({ err }, 'the MLflow run before was not ended'))
  }

  async #logInterval(): Promise<void> {
    const interval = this.#interval
    const step = this.#step++
    this.#interval = new Interval()
    const values = interval.values()
    const gauges = await this.#options.gauges?.().catch(() => ({}))
    this.#log({ ...values, ...gauges }, step)
  }

  #logTotals(): void {
    const values = Object.entries(this.#whole.values())
    this.#log(Object.fromEntries(values.map(([name, value]) => [`total_${name}`, value])), this.#step)
  }

  #log(values: Readonly<Record<string, number>>, step: number): void {
    const timestamp = Date.now()
    this.#run.addPoints(Object.entries(values).map(([key, value]) => ({ key, value, timestamp, step })))
  }

  /** After the one under way; a sample that cannot be written is a line in the log. */
  #logFiles(): Promise<void> {
    this.#isWriting = true
    this.#filesUnderWay = this.#filesUnderWay
      .then(() => this.#writeFiles())
      .catch((err: unknown) => this.#options.log.warn({ err }, 'sample and pictures for MLflow not written'))
      .finally(() => {
        this.#isWriting = false
      })
    return this.#filesUnderWay
  }

  /** Removes the temporary files when they have been written. */
  async #removeFiles(): Promise<void> {
    await this.#filesUnderWay
    if (this.#folder === undefined) return
    await rm(this.#folder, { recursive: true, force: true }).catch((err: unknown) =>
      this.#options.log.warn({ err }, 'temporary files of MLflow not removed'),
    )
  }

  async #writeFiles(): Promise<void> {
    const { batches } = this.#sample
    if (batches.length === 0) return
    const run = this.#run
    const { writeSample } = this.#options
    this.#folder ??= await mkdtemp(join(tmpdir(), 'nustream-mlflow-'))
    // Names of their own: the files before may be on their way still.
    const base = join(this.#folder, String(this.#filesWritten++ % 2))
    await writeSample(`${base}.parquet`, batches)
    run.putFile('predictions/sample.parquet', `${base}.parquet`)
    const about = (events: number) => `${events} events, ${this.#model}, until ${new Date().toISOString()}`
    await writeFile(`${base}-sky.svg`, renderSky(this.#sky, about(this.#sky.events)))
    run.putFile('plots/sky.svg', `${base}-sky.svg`)
    if (this.#errors.events === 0) return
    await writeFile(`${base}-errors.svg`, renderErrors(this.#errors, about(this.#errors.events)))
    run.putFile('plots/angular-error.svg', `${base}-errors.svg`)
  }
}

/** Waits for the work, but not longer than `ms`. */
async function withinOrLeft(work: () => Promise<void>, ms: number): Promise<void> {
  await within(work, Math.max(0, ms)).catch((error: unknown) => {
    if (!(error instanceof OutOfTime)) throw error
  })
}
