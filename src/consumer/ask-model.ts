import { ok } from 'node:assert/strict'
import { OutOfTime, sleep, within } from '../async/deadline.ts'
import { type BackoffOptions, createBackoff } from '../async/retry.ts'
import { EventError, UnavailableError } from '../errors.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import type { Inference, Inferrer } from '../inference/inferrer.ts'
import { type Blame, isAnswer, searchCulprit } from '../inference/remote/culprit.ts'
import { NO_TRACER, type Tracer, traced } from '../telemetry/tracing.ts'
import type { RetryReason } from './metrics.ts'
import type { Slots } from './slots.ts'

export interface AskOptions {
  readonly inferrer: Inferrer
  /** Room for as many batches at once as the model can hold. */
  readonly slots: Slots
  /** No answer for this long accuses the batch, as a dead worker does. Longer than the inferrer's own deadlines. */
  readonly inferTimeoutMs: number
  /** Failures of a batch as a whole before it is halved, and of an event alone before it is given up. */
  readonly modelTriesMax: number
  readonly backoff: BackoffOptions
  /** Aborts: no more waiting for a world that is away. */
  readonly stopping: AbortSignal
  /** Aborts: nothing more at all, calls under way included. */
  readonly giveUp: AbortSignal
  readonly onRetry: (reason: RetryReason, error: unknown) => void
  /** Called after each call of the model with the seconds it took. */
  readonly onCall: (seconds: number) => void
  readonly tracer?: Tracer
  /** The span that asks. */
  readonly traceparent?: string | undefined
}

/** A model that answers at all says within this time that it is ready. */
const READY_WITHIN_MS = 10_000

/**
 * Directions of all events of a batch, whatever it takes: a model that is away is waited for, and a batch on which
 * the model as a whole fails is halved until the event at fault stands alone, which becomes a fault `model_failed`
 * while its neighbours get their directions.
 * @throws UnavailableError or the abort reason when `stopping` or `giveUp` end the wait; unknown errors as they come
 */
export async function askModel(batch: EventBatch, options: AskOptions): Promise<Inference> {
  const { inferrer, modelTriesMax } = options
  const whole = await tryUpTo(modelTriesMax, batch, options)
  if (isAnswer(whole)) return whole
  return searchCulprit(batch, {
    blame: whole,
    attempt: (part, triesMax) => tryUpTo(triesMax, part, options, whole),
    triesMax: modelTriesMax,
    wasReady: () => wasReady(options),
    model: inferrer.model,
  })
}

/**
 * An answer, or the blame of the last of `triesMax` failures. Failures of the world are no tries.
 * What may have ended a worker is asked alone, so that it takes no innocent batch down with it.
 */
async function tryUpTo(
  triesMax: number,
  batch: EventBatch,
  options: AskOptions,
  suspicion?: Blame,
): Promise<Inference | Blame> {
  const backoff = createBackoff(options.backoff)
  let blame = suspicion
  for (let failures = 0; ; ) {
    const alone = blame !== undefined && blame.reason !== 'model_failed'
    const result = await askOnce(batch, alone, options)
    if (!(result instanceof UnavailableError)) {
      if (isAnswer(result)) return result
      blame = result
      failures++
      if (failures >= triesMax) return blame
    }
    const world = result instanceof UnavailableError ? result : undefined
    if (options.stopping.aborted) throw world ?? options.stopping.reason
    options.onRetry(world?.code ?? (result as Blame).reason, world ?? (result as Blame).error)
    await sleep(backoff.nextMs(world?.retryAfterSeconds), options.stopping)
    options.stopping.throwIfAborted()
  }
}

/** One call within its deadline: an answer, whom to blame, or a world that is away. Unknown errors are thrown. */
async function askOnce(
  batch: EventBatch,
  alone: boolean,
  options: AskOptions,
): Promise<Inference | Blame | UnavailableError> {
  const { inferrer, slots, inferTimeoutMs, giveUp, onCall, tracer = NO_TRACER, traceparent } = options
  const call = async (): Promise<Inference> => {
    const late = new AbortController()
    const attributes = { 'nustream.events': eventCount(batch), 'nustream.model': inferrer.model.name }
    const span = tracer.start('predict', { parent: traceparent, kind: 'client', attributes })
    const startedAt = performance.now()
    try {
      const signal = AbortSignal.any([giveUp, late.signal])
      const asked = () => inferrer.infer(batch, { signal, traceparent: span.traceparent })
      return await traced(span, () => within(asked, inferTimeoutMs, giveUp))
    } finally {
      late.abort()
      onCall((performance.now() - startedAt) / 1000)
    }
  }
  try {
    const inference = await (alone ? slots.all(call, giveUp) : slots.one(call, giveUp))
    assertComplete(inference, eventCount(batch))
    return inference
  } catch (error) {
    if (error instanceof OutOfTime) return { reason: 'model_timeout', error }
    if (error instanceof EventError) return { reason: 'model_failed', error }
    if (!(error instanceof UnavailableError)) throw error
    return error.code === 'model_worker_died' ? { reason: 'model_worker_died', error } : error
  }
}

function assertComplete(inference: Inference, events: number): void {
  for (const column of ['azimuth', 'zenith', 'kappa', 'degenerate'] as const) {
    const { length } = inference[column]
    ok(length === events, `the model answered ${length} values of ${column} for ${events} events`)
  }
}

/** True where the model is ready now. Otherwise waits until it is, and answers false. */
async function wasReady({ inferrer, backoff, stopping, onRetry }: AskOptions): Promise<boolean> {
  const pauses = createBackoff(backoff)
  for (let before = true; ; before = false) {
    try {
      await within(() => inferrer.ready(), READY_WITHIN_MS, stopping)
      return before
    } catch (error) {
      if (!(error instanceof UnavailableError || error instanceof OutOfTime)) throw error
      const world = error instanceof UnavailableError ? error : undefined
      onRetry(world?.code ?? 'model_timeout', error)
      await sleep(pauses.nextMs(world?.retryAfterSeconds), stopping)
      stopping.throwIfAborted()
    }
  }
}
