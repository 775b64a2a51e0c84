import type { StoredPredictions } from '../broker/contract.ts'
import { angularDistance } from '../event/direction.ts'
import { toUnixMs } from '../event/event-batch.ts'
import type { PredictionBatch } from '../event/prediction-batch.ts'
import type { DrawnEvent, DrawnPrediction } from './messages.ts'
import { roundedAngle, roundedDirection, type SampledEvent } from './sample.ts'

/** Batches of sampled events that may wait for their predictions; beyond it nothing more is sampled. */
const WAITING_MAX = 256
/** A sampled batch whose predictions have not come by then became dead letters, or was taken apart. */
const WAIT_MS = 300_000
/** Predictions kept for a sample that comes after them: sampling and reading run on two connections. */
const RECENT_MAX = 64

interface Waiting {
  readonly events: readonly SampledEvent[]
  readonly sinceMs: number
}

/** Brings sampled events and their predictions together, whichever comes first. Of fixed size. */
export class Join {
  readonly #waiting = new Map<string, Waiting>()
  readonly #recent = new Map<string, StoredPredictions>()

  /** True while there is no room for another sample. Forgets samples whose predictions will not come. */
  isFull(nowMs: number): boolean {
    for (const [batchId, { sinceMs }] of this.#waiting) {
      if (nowMs - sinceMs < WAIT_MS) break
      this.#waiting.delete(batchId)
    }
    return this.#waiting.size >= WAITING_MAX
  }

  /** Predictions that had come before the sample, if they had. */
  addSample(batchId: string, events: readonly SampledEvent[], nowMs: number): StoredPredictions | undefined {
    if (events.length > 0) this.#waiting.set(batchId, { events, sinceMs: nowMs })
    return this.#recent.get(batchId)
  }

  addPredictions(stored: StoredPredictions): void {
    this.#recent.set(stored.batchId, stored)
    for (const batchId of this.#recent.keys()) {
      if (this.#recent.size <= RECENT_MAX) break
      this.#recent.delete(batchId)
    }
  }

  isWaitingFor(batchId: string): boolean {
    return this.#waiting.has(batchId)
  }

  /** The sampled events of a batch with their predictions; each is given once. */
  take(batchId: string, predictions: PredictionBatch): DrawnEvent[] {
    const waiting = this.#waiting.get(batchId)
    this.#waiting.delete(batchId)
    return (waiting?.events ?? []).flatMap((event) => {
      const row = predictions.eventIds.indexOf(event.id)
      return row < 0 ? [] : [toDrawn(event, predictions, row)]
    })
  }
}

function toDrawn({ id: _, ...event }: SampledEvent, predictions: PredictionBatch, row: number): DrawnEvent {
  const { origin } = predictions
  const direction = { azimuth: predictions.azimuth[row], zenith: predictions.zenith[row] }
  const prediction: DrawnPrediction = {
    ...roundedDirection(direction),
    kappa: toKappa(predictions.kappa[row]),
    degenerate: predictions.degenerate[row] === 1,
    model: origin.model,
    modelVersion: origin.modelVersion,
  }
  return {
    ...event,
    prediction,
    ...utcOf(predictions, row),
    errorRad: event.truth && roundedAngle(angularDistance(direction, event.truth)),
    emittedAtMs: Math.round(origin.emittedAtMs),
    predictedAtMs: Math.round(origin.predictedAtMs),
  }
}

/** When an event happened, where the stream says so: Unix milliseconds. */
export function utcOf({ utc }: PredictionBatch, row: number): { utcMs?: number } {
  const utcMs = utc ? toUnixMs(utc[row]) : Number.NaN
  return Number.isNaN(utcMs) ? {} : { utcMs }
}

/** Four significant digits; null for the NaN of a model that gives none. */
export function toKappa(kappa: number): number | null {
  return Number.isFinite(kappa) ? Number(kappa.toPrecision(4)) : null
}
