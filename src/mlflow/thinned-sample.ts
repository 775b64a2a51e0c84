import type { PredictionBatch } from '../event/prediction-batch.ts'

/** No single batch fills the sample. */
const EVENTS_PER_BATCH_MAX = 512

/**
 * A bounded sample of batches, even over all that was offered: every n-th is kept, and when they are too many every
 * second of them goes and n doubles.
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

/** A copy: columns of a batch may be views that hold the memory of all its pulses. */
function firstEvents(batch: PredictionBatch): PredictionBatch {
  // The same keys with the same kinds of columns.
  return cut(batch) as PredictionBatch
}

/** Columns are cut, groups of columns gone into; whatever is neither stays. */
function cut(value: unknown): unknown {
  // Every column is a typed array, and a DataView is none.
  if (ArrayBuffer.isView(value)) return (value as Float64Array).slice(0, EVENTS_PER_BATCH_MAX)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, cut(inner)]))
}
