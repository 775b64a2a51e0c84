import { UsageError } from '../../errors.ts'
import { type EventBatch, eventCount, selectEvents } from '../../event/event-batch.ts'
import type { Inference, InferOptions, Inferrer } from '../inferrer.ts'
import { type LocalModel, withInfer } from '../network/local.ts'
import { madeUpEvents } from '../network/warm-up.ts'
import type { QualityGate } from './quality-gate.ts'

/** The probation fails when this many more batches failed than succeeded: one may be an accident. */
const BAD_BATCHES = 3
/** Long enough for models that refuse short events. */
const TRIAL_PULSES = [128, 256, 512, 1024]
const KEPT_EVENTS = 32
const KEPT_PULSES_MAX = 50_000
const KEEP_EVERY_MS = 1_000

/** A few of the latest events that a model answered, for trying another on. */
export class RecentEvents {
  #kept: EventBatch | undefined
  #keptAt = Number.NEGATIVE_INFINITY

  get events(): EventBatch | undefined {
    return this.#kept
  }

  /** Keeps a copy of some answered events, at most once a second. */
  offer(batch: EventBatch, { faults }: Inference): void {
    const now = performance.now()
    if (now - this.#keptAt < KEEP_EVERY_MS) return
    const faulty = new Set(faults.map(({ index }) => index))
    const indices: number[] = []
    let pulses = 0
    for (let i = 0; i < eventCount(batch) && indices.length < KEPT_EVENTS; i++) {
      pulses += batch.offsets[i + 1] - batch.offsets[i]
      if (pulses > KEPT_PULSES_MAX) break
      if (!faulty.has(i)) indices.push(i)
    }
    if (indices.length === 0) return
    this.#kept = selectEvents(batch, Int32Array.from(indices))
    this.#keptAt = now
  }
}

/**
 * Asks a candidate for directions of recent events that the current model answered, and of made-up events.
 * @throws UsageError `model_trial_failed` when it fails on most of them; UnavailableError when its workers die
 */
export async function tryCandidate(candidate: Inferrer, recent: EventBatch | undefined): Promise<void> {
  for (const events of [recent, madeUpEvents(TRIAL_PULSES)]) {
    if (events === undefined || eventCount(events) === 0) continue
    const { faults } = await candidate.infer(events).catch((cause: unknown) => {
      throw failed(`${candidate.model.name} ${candidate.model.version} throws: ${messageOf(cause)}`, cause)
    })
    if (2 * faults.length <= eventCount(events)) continue
    const what = `${faults.length} of ${eventCount(events)} events that a model can answer`
    throw failed(`${candidate.model.name} ${candidate.model.version} fails on ${what}: ${faults[0].message}`)
  }
}

export interface ProbationOptions {
  /** Answers the batches that `next` cannot, until `isOver`. */
  readonly previous: Inferrer
  readonly isOver: () => boolean
  /** Compares what `next` answers with what `previous` would. */
  readonly gate?: QualityGate | undefined
  /** `next` fails where `previous` does not. May be called more than once. */
  readonly onFailure: (reason: Error) => void
}

/**
 * `next` as an inferrer on probation: when it fails on most events of a batch, `previous` answers the batch, so no request
 * is lost. `onFailure` is called when this happens repeatedly.
 */
export function onProbation(next: LocalModel, options: ProbationOptions): LocalModel {
  const { previous, isOver, gate, onFailure } = options
  let bad = 0
  const infer = async (batch: EventBatch, options: InferOptions = {}): Promise<Inference> => {
    if (isOver()) return next.infer(batch, options)
    const events = eventCount(batch)
    const answer = await next.infer(batch, options).catch((error: unknown) => toError(error))
    options.signal?.throwIfAborted()
    if (!(answer instanceof Error) && 2 * answer.faults.length <= events) {
      bad = Math.max(0, bad - 1)
      gate?.offer(batch, answer)
      return answer
    }
    const before = await previous.infer(batch, options)
    // Events that neither model can answer are bad events.
    if (2 * before.faults.length > events) return before
    bad++
    const why = answer instanceof Error ? answer.message : answer.faults[0].message
    if (bad >= BAD_BATCHES)
      onFailure(failed(`it failed on ${bad} batches that the one before could answer: ${why}`, answer))
    return before
  }
  return withInfer(next, { infer })
}

function failed(message: string, cause?: unknown): UsageError {
  return new UsageError('model_trial_failed', message, { cause })
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
