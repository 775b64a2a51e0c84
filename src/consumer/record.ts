import type { Logger } from 'pino'
import { OutOfTime } from '../async/deadline.ts'
import type { Delivery, SettleResult } from '../broker/contract.ts'
import { DRIFT_FEATURES } from '../drift/features.ts'
import { DriftWindow } from '../drift/window.ts'
import { UnavailableError } from '../errors.ts'
import { openingAngles } from '../event/direction.ts'
import type { EventBatch } from '../event/event-batch.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { createRepeatLimit } from '../telemetry/log.ts'
import type { ConsumerMetrics, RetryReason } from './metrics.ts'
import type { ConsumeTally, SettledBatch } from './report.ts'
import type { Outcome } from './settlement.ts'

export interface RecordOptions {
  readonly inferrer: Pick<Inferrer, 'reference'>
  readonly metrics: ConsumerMetrics
  readonly tally: ConsumeTally
  readonly log: Logger
  readonly onSettled: (batch: SettledBatch) => void
  readonly onModelHealth: (problem: string | undefined) => void
}

/** Counts and logs what a consumer does: into metrics, its report, its log, and for whoever listens to it. */
export class ConsumeRecord {
  readonly #options: RecordOptions
  readonly #limit = createRepeatLimit()
  #drift: DriftWindow | undefined
  #modelProblem: string | undefined
  #failedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: RecordOptions) {
    this.#options = options
  }

  delivered(delivery: Delivery): void {
    const { metrics, tally } = this.#options
    tally.start()
    if (delivery.attempt > 1) metrics.redeliveries.inc()
    const waitedMs = sinceEmittedMs(delivery)
    if (waitedMs !== undefined) metrics.queueWait.observe(waitedMs / 1000)
  }

  decoded(seconds: number): void {
    this.#options.metrics.decode.observe(seconds)
  }

  /** A batch is about to be asked about. */
  batchRead(events: number): void {
    this.#options.metrics.batchEvents.observe(events)
  }

  /** One call of the model has ended, whether it answered or not. */
  asked(seconds: number): void {
    this.#options.metrics.inference.observe(seconds)
  }

  answered(): void {
    this.#failedAtMs = Number.NEGATIVE_INFINITY
    this.#noteModel(undefined)
  }

  /** A check of the model has ended. Calls say more: after a failed one a check alone makes the model no better. */
  modelChecked(problem: unknown): void {
    if (problem !== undefined) this.#noteModel(messageOf(problem))
    else if (performance.now() - this.#failedAtMs > CALL_COUNTS_MS) this.#noteModel(undefined)
  }

  /** The model is asked again: it is away, or it failed on some of the events. */
  retried(reason: RetryReason, error: unknown): void {
    const { metrics, log } = this.#options
    metrics.retries.inc({ reason })
    if (error instanceof UnavailableError || error instanceof OutOfTime) {
      this.#failedAtMs = performance.now()
      this.#noteModel(messageOf(error))
    }
    this.#limit(reason, (repeats) => log.warn({ err: error, reason, repeats }, 'model asked again'))
  }

  putBack({ batchId, attempt }: Delivery): void {
    const { metrics, log } = this.#options
    metrics.splits.inc()
    log.warn({ batchId, attempt }, 'batch put back in parts')
  }

  /** The broker has stored the outcome of a delivery, or had stored one before (`repeat`). */
  settled(
    delivery: Delivery,
    outcome: Outcome,
    { result, seconds }: { result: SettleResult; seconds: number },
  ): void {
    const { metrics, tally, onSettled } = this.#options
    metrics.settle.observe(seconds)
    const predicted = outcome.predictions?.eventIds.length ?? 0
    const deadLettered = outcome.deadLetters.reduce((sum, { events }) => sum + events, 0)
    if (result === 'repeat') {
      metrics.events.inc({ outcome: 'repeated' }, predicted + deadLettered)
      tally.addRepeat(predicted + deadLettered)
      return
    }
    metrics.events.inc({ outcome: 'predicted' }, predicted)
    metrics.events.inc({ outcome: 'dead_lettered' }, deadLettered)
    this.#noteDeadLetters(outcome)
    const latencyMs = sinceEmittedMs(delivery)
    if (latencyMs !== undefined) metrics.latency.observe(latencyMs / 1000)
    const { predictions } = outcome
    const quality = predictions ? this.#notePredictions(predictions) : NO_QUALITY
    const batch = { predicted, deadLettered, latencyMs, predictions, ...quality }
    tally.addSettled(batch)
    onSettled(batch)
  }

  /** Compares events that were settled for the first time with those that the model was trained on. */
  compareWithTraining(events: EventBatch): void {
    const { inferrer, metrics } = this.#options
    const { reference } = inferrer
    // Another model begins a window of its own; one without a reference has no index.
    if (this.#drift?.reference !== reference) {
      this.#drift = reference && new DriftWindow(reference)
      metrics.driftPsi.reset()
      metrics.driftEvents.set(0)
    }
    if (this.#drift === undefined) return
    this.#drift.add(events)
    metrics.driftEvents.set(this.#drift.events)
    for (const feature of DRIFT_FEATURES) {
      const index = this.#drift.index(feature)
      if (index !== undefined) metrics.driftPsi.set({ feature }, index)
    }
  }

  #noteModel(problem: string | undefined): void {
    const { metrics, log, onModelHealth } = this.#options
    metrics.modelUp.set(problem === undefined ? 1 : 0)
    if (problem === this.#modelProblem) return
    if (problem === undefined) log.info('the model answers again')
    else if (this.#modelProblem === undefined) log.warn({ problem }, 'the model cannot be asked')
    this.#modelProblem = problem
    onModelHealth(problem)
  }

  #noteDeadLetters({ deadLetters }: Outcome): void {
    const { metrics, log } = this.#options
    for (const { code, message, eventId, batchId, events } of deadLetters) {
      metrics.deadLetters.inc({ code })
      const facts = { code, eventId: eventId?.toString(), batchId, events, reason: message }
      this.#limit(`dead letter ${code}`, (repeats) =>
        log.warn({ ...facts, repeats }, 'event became a dead letter'),
      )
    }
  }

  /** What the model answered, and how far that is from the truth where it is known. */
  #notePredictions(predictions: PredictionBatch) {
    const { metrics } = this.#options
    const { origin, truth, kappa } = predictions
    let degenerate = 0
    for (const flag of predictions.degenerate) degenerate += flag
    metrics.degenerate.inc(degenerate)
    for (const value of kappa) if (!Number.isNaN(value)) metrics.kappa.observe(value)
    const angularErrors = truth && openingAngles(predictions, truth)
    for (const angle of angularErrors ?? []) if (!Number.isNaN(angle)) metrics.angularError.observe(angle)
    metrics.modelInfo.reset()
    metrics.modelInfo.set({ model: origin.model, version: origin.modelVersion }, 1)
    return { degenerate, angularErrors }
  }
}

/** A failed call of the model outweighs checks that succeed for so long; calls are repeated more often. */
const CALL_COUNTS_MS = 70_000
const NO_QUALITY = { degenerate: 0, angularErrors: undefined }

/** Undefined for producers that do not say when. Clocks of two machines may differ, so that it can lie ahead. */
function sinceEmittedMs({ emittedAtMs }: Delivery): number | undefined {
  return emittedAtMs > 0 ? Math.max(0, Date.now() - emittedAtMs) : undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
