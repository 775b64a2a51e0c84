import { AssertionError } from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { StoredPredictions } from '../broker/contract.ts'
import { EventError, UsageError } from '../errors.ts'
import type { PredictionBatch } from '../event/prediction-batch.ts'
import { decodePredictionBatch } from '../event/prediction-wire.ts'
import { createRepeatLimit } from '../telemetry/log.ts'
import { type FileSpan, placeFile } from './folder.ts'
import type { ArchiveMetrics } from './metrics.ts'
import { writePredictions } from './write-predictions.ts'

export interface WriterOptions {
  readonly dir: string
  readonly stream: string
  /** The last file of each partition that the folder holds. */
  readonly files: ReadonlyMap<number, FileSpan>
  readonly metrics: ArchiveMetrics
  readonly log: Logger
  /** Aborts: a file that cannot be written is tried once more and then left to the next life. */
  readonly signal: AbortSignal
}

/** Predictions of one partition that wait for their file. */
interface Pending {
  readonly batches: PredictionBatch[]
  readonly first: string
  last: string
}

const RETRY_MIN_MS = 200
const RETRY_MAX_MS = 10_000

/** Collects predictions and writes them to files of one partition each, in order. */
export class ArchiveWriter {
  readonly #options: WriterOptions
  readonly #files: Map<number, FileSpan>
  readonly #pending = new Map<number, Pending>()
  readonly #limit = createRepeatLimit()
  #pendingEvents = 0
  #filesWritten = 0
  #predictions = 0

  constructor(options: WriterOptions) {
    this.#options = options
    this.#files = new Map(options.files)
  }

  /** Predictions that wait for their file. */
  get pending(): number {
    return this.#pendingEvents
  }

  get report(): { readonly files: number; readonly predictions: number } {
    return { files: this.#filesWritten, predictions: this.#predictions }
  }

  /** Per partition, the cursor of the last prediction batch in a finished file. */
  taken(): Map<number, string> {
    return new Map([...this.#files].map(([partition, { last }]) => [partition, last]))
  }

  add({ partition, cursor, payload, batchId }: StoredPredictions): void {
    const { metrics, log } = this.#options
    const pending = this.#pending.get(partition) ?? { batches: [], first: cursor, last: cursor }
    pending.last = cursor
    this.#pending.set(partition, pending)
    try {
      const batch = decodePredictionBatch(payload)
      pending.batches.push(batch)
      this.#pendingEvents += batch.eventIds.length
      metrics.pending.set(this.#pendingEvents)
    } catch (error) {
      if (!(error instanceof EventError)) throw error
      metrics.unreadable.inc()
      log.error({ err: error, batchId, cursor }, 'stored predictions not readable, left out')
    }
  }

  /** Writes what waits, one file per partition. When it returns that is safe on disk, or we are stopped. */
  async flush(): Promise<void> {
    for (const [partition, pending] of [...this.#pending]) {
      if (!(await this.#persist(partition, pending))) return
      this.#pending.delete(partition)
      this.#pendingEvents -= countEvents(pending)
      this.#options.metrics.pending.set(this.#pendingEvents)
    }
  }

  /** Tries until it is written, or until stopped; false then. */
  async #persist(partition: number, pending: Pending): Promise<boolean> {
    const { metrics, log, signal, dir } = this.#options
    for (let pauseMs = RETRY_MIN_MS; ; pauseMs = Math.min(RETRY_MAX_MS, pauseMs * 2)) {
      const isLastTry = signal.aborted
      try {
        await this.#write(partition, pending)
        return true
      } catch (error) {
        if (!isPassing(error)) throw error
        metrics.retries.inc()
        this.#limit('write', (repeats) =>
          log.error({ err: error, dir, repeats }, 'file not written, trying again'),
        )
        if (isLastTry) {
          log.warn(
            { predictions: countEvents(pending) },
            'predictions left for the next start, the broker keeps them',
          )
          return false
        }
        await sleep(pauseMs, undefined, { signal }).catch(() => {})
      }
    }
  }

  async #write(partition: number, pending: Pending): Promise<void> {
    const { dir, stream, metrics } = this.#options
    const { batches, first, last } = pending
    const sequence = (this.#files.get(partition)?.sequence ?? 0) + 1
    const span = { stream, partition, sequence, first, last }
    const events = countEvents(pending)
    const startedAt = performance.now()
    await placeFile(dir, span, (path) => writePredictions(path, batches))
    this.#files.set(partition, span)
    this.#filesWritten++
    this.#predictions += events
    metrics.writeSeconds.observe((performance.now() - startedAt) / 1000)
    metrics.predictions.inc(events)
    metrics.fileEvents.observe(events)
    metrics.lastFile.set(Date.now() / 1000)
  }
}

function countEvents({ batches }: Pending): number {
  return batches.reduce((sum, { eventIds }) => sum + eventIds.length, 0)
}

/** A full disk, a folder that is away: whatever is not a fault of the program may pass. */
function isPassing(error: unknown): boolean {
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof AssertionError
  return error instanceof Error && !isOurs && !(error instanceof UsageError)
}
