import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import { sleep } from '../../async/deadline.ts'
import { NustreamError, UnavailableError, UsageError } from '../../errors.ts'
import type { EventBatch } from '../../event/event-batch.ts'
import { createRepeatLimit } from '../../telemetry/log.ts'
import type { InferOptions, ModelIdentity } from '../inferrer.ts'
import { type LocalModel, withInfer } from '../network/local.ts'
import { onProbation, RecentEvents, tryCandidate } from './probation.ts'
import { GATE_CHECKS, type GateCheck, type GateLimits, QualityGate } from './quality-gate.ts'

/** One version of a model that a source offers. */
export interface ModelRelease extends ModelIdentity {
  /** Unique for each version, even when a registry was set up anew and counts from 1 again. */
  readonly key: string
}

/** A source of models that may be replaced while they are in use. */
export interface ModelSource {
  /** What the user named, for messages. */
  readonly spec: string
  /** False where it always offers the same release. */
  readonly changes: boolean
  /**
   * The release offered now.
   * @throws UnavailableError when the source is away for now; UsageError when it offers none
   */
  newest(signal?: AbortSignal): Promise<ModelRelease>
  /** The release that last passed its probation, if a copy of it is kept. */
  lastGood(): Promise<ModelRelease | undefined>
  /** Folder of a release. @throws UnavailableError, UsageError */
  fetch(release: ModelRelease, signal?: AbortSignal): Promise<string>
  /** Keeps the release for times when the source is unavailable. */
  markGood(release: ModelRelease): Promise<void>
}

/** The model of a process that answers, or the challenger that is compared with it. */
export type ModelSlot = 'model' | 'challenger'
const OUTCOMES = ['swapped', 'refused', 'rolled_back'] as const

/** Metrics of replacing one model. */
export interface RollOutMetrics {
  swapped(outcome: (typeof OUTCOMES)[number]): void
  registryUp(isUp: boolean): void
  refused(isRefused: boolean): void
  /** What the quality gate found, and which of its checks failed. */
  compared(values: Readonly<Record<GateCheck, number>>): void
  gateFailed(check: GateCheck): void
}

/** Metrics of all models of a process that come from a registry. */
export function rollOutMetrics(registry: Registry): (slot: ModelSlot) => RollOutMetrics {
  const registers = [registry]
  const swaps = new Counter({
    name: 'nustream_model_swaps_total',
    help: 'New releases of a model by what became of them.',
    labelNames: ['slot', 'outcome'] as const,
    registers,
  })
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `nustream_model_${name}`, help, labelNames: ['slot'] as const, registers })
  const up = gauge('registry_up', '1 where the registry answered the last time it was asked for a release.')
  const refused = gauge(
    'release_refused',
    '1 while the registry names a release that failed here, so that an older one stays in use.',
  )
  const gateLabels = ['slot', 'check'] as const
  const compared = new Gauge({
    name: 'nustream_model_gate_value',
    help: 'What the quality gate measured of the newest release against the one before, by check.',
    labelNames: gateLabels,
    registers,
  })
  const gateFailures = new Counter({
    name: 'nustream_model_gate_failures_total',
    help: 'Releases that were rolled back because they answer worse, by the check that failed.',
    labelNames: gateLabels,
    registers,
  })
  return (slot) => {
    for (const check of GATE_CHECKS) gateFailures.inc({ slot, check }, 0)
    for (const outcome of OUTCOMES) swaps.inc({ slot, outcome }, 0)
    refused.set({ slot }, 0)
    return {
      swapped: (outcome) => swaps.inc({ slot, outcome }),
      registryUp: (isUp) => up.set({ slot }, isUp ? 1 : 0),
      refused: (isRefused) => refused.set({ slot }, isRefused ? 1 : 0),
      compared: (values) => {
        for (const check of GATE_CHECKS) compared.set({ slot, check }, values[check])
      },
      gateFailed: (check) => gateFailures.inc({ slot, check }),
    }
  }
}

export interface RollOutOptions {
  readonly source: ModelSource
  /** Loads a model folder, proves it on its parity fixture and warms it. */
  readonly open: (folder: string, signal?: AbortSignal) => Promise<LocalModel>
  /** Asked for a newer release this often, a tenth more or less. */
  readonly pollMs: number
  /** The model before is kept this long after a swap, in case the new one fails. */
  readonly probationMs?: number
  /** How far a new release may be from the one before in its probation; not compared where undefined. */
  readonly gate?: GateLimits | undefined
  readonly metrics: RollOutMetrics
  readonly log: Logger
}

/** The state of the roll-out, as /health shows it. */
export interface RollOutStatus {
  readonly release: string
  /** Why the source could not be asked the last time, and since when. */
  readonly away: string | undefined
  /** A release that the source offers and that failed here. */
  readonly refused: string | undefined
}

/** The source is asked at least this often during a probation, so that a release can be withdrawn quickly. */
const PROBATION_ASKS = 5

interface InUse {
  readonly release: ModelRelease
  readonly model: LocalModel
}

/**
 * Keeps the newest release of a source in use. A new release is loaded beside the old one, proved and tried, and takes over
 * without losing a request. One that fails is refused or rolled back, and the old one stays.
 */
export class RollOut implements AsyncDisposable {
  readonly #options: RollOutOptions
  readonly #recent = new RecentEvents()
  readonly #limit = createRepeatLimit(60_000)
  readonly #stopping = new AbortController()
  #inUse: InUse
  #away: { readonly reason: string; readonly since: string } | undefined
  #refused: { readonly release: ModelRelease; readonly reason: string } | undefined
  #following: Promise<void> = Promise.resolve()

  /**
   * Opens the release that the source offers; where the source is away, or its release fails here, the one that proved
   * good the last time.
   * @throws what the source or the model threw where there is no such release
   */
  static async open(options: RollOutOptions): Promise<RollOut> {
    const { source, log, metrics } = options
    let wanted: ModelRelease | undefined
    try {
      wanted = await source.newest()
      metrics.registryUp(true)
      const rollOut = new RollOut(options, await load(options, wanted))
      await source.markGood(wanted)
      return rollOut
    } catch (error) {
      const good = isHeld(error, wanted) ? await source.lastGood() : undefined
      if (good === undefined || good.key === wanted?.key) throw error
      const rollOut = new RollOut(options, await load(options, good))
      if (wanted === undefined) rollOut.#noteAway(error)
      else rollOut.#refuse(wanted, error, 'refused')
      log.warn({ spec: source.spec, using: nameOf(good) }, 'the model that proved good the last time is used')
      return rollOut
    }
  }

  private constructor(options: RollOutOptions, first: InUse) {
    this.#options = options
    this.#inUse = first
  }

  /** The model in use. */
  get model(): LocalModel {
    return this.#watched(this.#inUse.model)
  }

  get status(): RollOutStatus {
    return {
      release: nameOf(this.#inUse.release),
      away: this.#away && `${this.#away.reason} (since ${this.#away.since})`,
      refused: this.#refused && `${nameOf(this.#refused.release)}: ${this.#refused.reason}`,
    }
  }

  /** Newer releases take over from now on. `swap` puts a model in place and resolves when the previous one is idle. */
  follow(swap: (model: LocalModel) => Promise<void>): void {
    if (this.#options.source.changes) this.#following = this.#follow(swap)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#following
    await this.#inUse.model[Symbol.asyncDispose]()
  }

  async #follow(swap: (model: LocalModel) => Promise<void>): Promise<void> {
    const { pollMs } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await sleep(pollMs * (0.9 + 0.2 * Math.random()), signal)
      if (!signal.aborted) await this.#look(swap)
    }
  }

  /** Never throws. */
  async #look(swap: (model: LocalModel) => Promise<void>): Promise<void> {
    const { signal } = this.#stopping
    const release = await this.#ask(signal)
    if (release === undefined) return
    if (release.key !== this.#refused?.release.key) this.#forgive()
    if (release.key === this.#inUse.release.key || this.#refused) return
    try {
      await this.#adopt(release, swap)
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof UnavailableError) this.#noteAway(error)
      else this.#refuse(release, error, 'refused')
    }
  }

  /** What the source offers now; undefined when it cannot be asked, which is logged, or `signal` has aborted. */
  async #ask(signal: AbortSignal): Promise<ModelRelease | undefined> {
    const { source, metrics, log } = this.#options
    try {
      const release = await source.newest(signal)
      if (this.#away) log.info({ spec: source.spec }, 'the model registry answers again')
      this.#away = undefined
      metrics.registryUp(true)
      return release
    } catch (error) {
      if (!signal.aborted) this.#noteAway(error)
      return undefined
    }
  }

  /**
   * Loads a release beside the one in use, tries it, puts it in place, and takes it back if it fails soon or the source
   * offers the one before again.
   */
  async #adopt(release: ModelRelease, swap: (model: LocalModel) => Promise<void>): Promise<void> {
    const { source, metrics, log } = this.#options
    const previous = this.#inUse
    log.info({ from: nameOf(previous.release), to: nameOf(release) }, 'loading a new release of the model')
    const next = await load(this.#options, release, this.#recent.events, this.#stopping.signal)
    let isOver = false
    const failed = new AbortController()
    const gate = this.#openGate(previous.model, failed)
    const probation = {
      previous: previous.model,
      isOver: () => isOver,
      gate,
      onFailure: (reason: Error) => failed.abort(reason),
    }
    await swap(onProbation(this.#watched(next.model), probation))
    this.#inUse = next
    metrics.swapped('swapped')
    log.info(
      { model: nameOf(release), before: nameOf(previous.release) },
      'a new release of the model answers',
    )
    const isWithdrawn = await this.#isWithdrawn(previous.release, failed.signal)
    gate?.close()
    if (isWithdrawn || failed.signal.aborted) {
      await swap(this.#watched(previous.model))
      this.#inUse = previous
      isOver = true
      await next.model[Symbol.asyncDispose]()
      if (isWithdrawn) this.#noteWithdrawn(release)
      else this.#refuse(release, failed.signal.reason, 'rolled_back')
      return
    }
    isOver = true
    await previous.model[Symbol.asyncDispose]()
    if (!this.#stopping.signal.aborted) await source.markGood(release)
  }

  #openGate(previous: LocalModel, failed: AbortController): QualityGate | undefined {
    const { gate: limits, metrics } = this.#options
    if (limits === undefined) return undefined
    return new QualityGate({
      limits,
      previous,
      onMeasured: (values) => metrics.compared(values),
      onFailure: (check, reason) => {
        metrics.gateFailed(check)
        failed.abort(new UsageError('model_trial_failed', `it answers worse than the one before: ${reason}`))
      },
    })
  }

  /**
   * Whether the source offers the release `before` again during the probation, when it can still be put back without
   * loading it. Asked at the end for the last time; false at once when the new release fails.
   */
  async #isWithdrawn(before: ModelRelease, failed: AbortSignal): Promise<boolean> {
    const { pollMs, probationMs = 30_000 } = this.#options
    const signal = AbortSignal.any([this.#stopping.signal, failed])
    const everyMs = Math.min(pollMs, probationMs / PROBATION_ASKS)
    const endsAt = performance.now() + probationMs
    do {
      await sleep(everyMs, signal)
      if (!signal.aborted && (await this.#ask(signal))?.key === before.key) return true
    } while (!signal.aborted && performance.now() < endsAt)
    return false
  }

  #watched(model: LocalModel): LocalModel {
    const infer = async (batch: EventBatch, options?: InferOptions) => {
      const inference = await model.infer(batch, options)
      this.#recent.offer(batch, inference)
      return inference
    }
    return withInfer(model, { infer })
  }

  #forgive(): void {
    this.#refused = undefined
    this.#options.metrics.refused(false)
  }

  #refuse(release: ModelRelease, error: unknown, outcome: 'refused' | 'rolled_back'): void {
    const { metrics, log } = this.#options
    this.#refused = { release, reason: reasonOf(error) }
    metrics.refused(true)
    metrics.swapped(outcome)
    const facts = { err: error, release: nameOf(release), keeps: nameOf(this.#inUse.release) }
    log.error(
      facts,
      outcome === 'refused' ? 'a release of the model is refused' : 'a release of the model is taken back',
    )
  }

  #noteWithdrawn(release: ModelRelease): void {
    const { metrics, log } = this.#options
    metrics.swapped('swapped')
    const facts = { model: nameOf(this.#inUse.release), before: nameOf(release) }
    log.info(facts, 'the release before is offered again and answers')
  }

  #noteAway(error: unknown): void {
    const { metrics, log, source } = this.#options
    metrics.registryUp(false)
    this.#away = { reason: reasonOf(error), since: this.#away?.since ?? new Date().toISOString() }
    this.#limit('away', (repeats) =>
      log.warn(
        { err: error, spec: source.spec, repeats },
        'the model registry cannot be asked, the model stays',
      ),
    )
  }
}

/** A model that is open, proved, tried, and named as its release. */
async function load(
  { source, open }: RollOutOptions,
  release: ModelRelease,
  recent?: EventBatch,
  signal?: AbortSignal,
): Promise<InUse> {
  const model = await open(await source.fetch(release, signal), signal)
  try {
    await tryCandidate(model, recent)
  } catch (error) {
    await model[Symbol.asyncDispose]()
    throw error
  }
  return { release, model: named(model, release) }
}

/** The model under the registry's name and version, because manifests of two releases may be alike. */
function named(model: LocalModel, { name, version }: ModelRelease): LocalModel {
  const identity = { name, version }
  return withInfer(model, {
    model: identity,
    infer: async (batch, options) => ({ ...(await model.infer(batch, options)), model: identity }),
  })
}

/**
 * Whether an older release may stand in: the source is away or turns this process away, or what it offers fails here. A
 * source that answers and knows no such model gets no stand-in.
 */
function isHeld(error: unknown, wanted: ModelRelease | undefined): boolean {
  if (error instanceof UnavailableError) return true
  if (!(error instanceof NustreamError)) return false
  return wanted !== undefined || error.code === 'unauthorized'
}

function nameOf({ name, version }: ModelRelease): string {
  return `${name} ${version}`
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
