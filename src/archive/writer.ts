import { AssertionError } from 'node:assert/strict'
import type { Logger } from 'pino'
import { retry } from '../async/retry.ts'
import type { StoredPredictions } from '../broker/contract.ts'
import { EventError, UsageError } from '../errors.ts'
import { openingAngles } from '../event/direction.ts'
import { toUnixMs, UTC_UNKNOWN } from '../event/event-batch.ts'
import { decodePredictionBatch, type PredictionBatch } from '../event/prediction-wire.ts'
import { type ColumnArray, openParquetWriter, type ParquetColumn } from '../formats/parquet/write.ts'
import { ICECUBE_SITE, toEquatorial } from '../sky/coordinates.ts'
import { createRepeatLimit } from '../telemetry/log.ts'
import { type FileSpan, placeFile } from './folder.ts'
import type { ArchiveMetrics } from './metrics.ts'
import { RepeatFinder } from './repeats.ts'

export interface WriterOptions {
  readonly dir: string
  readonly stream: string
  /** The last file of each partition that the folder holds. */
  readonly files: ReadonlyMap<number, FileSpan>
  /** Longest that a prediction waits for its file, ms. */
  readonly intervalMs: number
  readonly metrics: ArchiveMetrics
  readonly log: Logger
  /** Aborts: a file that cannot be written is tried once more and then left to the next start. */
  readonly signal: AbortSignal
}

/** Predictions of one partition that wait for their file. */
interface Pending {
  readonly batches: PredictionBatch[]
  readonly first: string
  last: string
}

const RETRY_PAUSES = { firstMs: 200, capMs: 10_000 }

/** Collects predictions and writes them to files of one partition each, in order. */
export class ArchiveWriter {
  readonly #options: WriterOptions
  readonly #files: Map<number, FileSpan>
  readonly #pending = new Map<number, Pending>()
  readonly #limit = createRepeatLimit()
  readonly #repeats: RepeatFinder
  /** Cursors up to which predictions are left out of a partition, beyond its last file. */
  readonly #leftOut = new Map<number, string>()
  #pendingEvents = 0
  #filesWritten = 0
  #predictions = 0

  constructor(options: WriterOptions) {
    this.#options = options
    this.#files = new Map(options.files)
    this.#repeats = new RepeatFinder(options.dir, options.files.size === 0)
  }

  /** Predictions that wait for their file. */
  get pending(): number {
    return this.#pendingEvents
  }

  get report(): { readonly files: number; readonly predictions: number } {
    return { files: this.#filesWritten, predictions: this.#predictions }
  }

  /** Per partition, the cursor of the last prediction batch that is in a finished file, or needs none. */
  taken(): Map<number, string> {
    const ends = new Map([...this.#files].map(([partition, { last }]) => [partition, last]))
    for (const [partition, cursor] of this.#leftOut) ends.set(partition, cursor)
    return ends
  }

  /** What comes next may be in the folder already. */
  lookForRepeats(): void {
    this.#repeats.look()
  }

  add({ partition, cursor, payload, batchId }: StoredPredictions): void {
    const { metrics, log, intervalMs } = this.#options
    const pending = this.#pending.get(partition) ?? { batches: [], first: cursor, last: cursor }
    pending.last = cursor
    this.#pending.set(partition, pending)
    try {
      const batch = decodePredictionBatch(payload)
      pending.batches.push(batch)
      if (this.#pendingEvents === 0) metrics.due.set((Date.now() + intervalMs) / 1000)
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
      this.#pendingEvents -= countEvents(pending.batches)
      this.#options.metrics.pending.set(this.#pendingEvents)
    }
    this.#options.metrics.due.set(0)
  }

  /** Tries until it is written. Once stopped it tries once more, and returns false when that fails too. */
  async #persist(partition: number, pending: Pending): Promise<boolean> {
    const { log, signal } = this.#options
    const write = () => this.#write(partition, pending)
    const onRetry = (error: unknown) => this.#noteFailure(error)
    try {
      await retry(write, { signal, backoff: RETRY_PAUSES, isTransient: isPassing, onRetry })
      return true
    } catch (error) {
      if (!signal.aborted || !isPassing(error)) throw error
    }
    try {
      await write()
      return true
    } catch (error) {
      if (!isPassing(error)) throw error
      this.#noteFailure(error)
      const predictions = countEvents(pending.batches)
      log.warn({ predictions }, 'predictions left for the next start, the broker keeps them')
      return false
    }
  }

  #noteFailure(error: unknown): void {
    const { metrics, log, dir } = this.#options
    metrics.retries.inc()
    this.#limit('write', (repeats) =>
      log.error({ err: error, dir, repeats }, 'file not written, trying again'),
    )
  }

  async #write(partition: number, pending: Pending): Promise<void> {
    const { dir, stream, metrics, log } = this.#options
    const { first, last } = pending
    const batches = await this.#repeats.without(pending.batches)
    const repeats = pending.batches.length - batches.length
    if (repeats > 0) log.warn({ batches: repeats }, 'predictions that the folder holds already are left out')
    metrics.repeats.inc(repeats)
    if (batches.length === 0 && repeats > 0) {
      this.#leftOut.set(partition, last)
      return
    }
    const sequence = (this.#files.get(partition)?.sequence ?? 0) + 1
    const span = { stream, partition, sequence, first, last }
    const events = countEvents(batches)
    const startedAt = performance.now()
    await placeFile(dir, span, (path) => writePredictions(path, batches))
    this.#files.set(partition, span)
    this.#leftOut.delete(partition)
    this.#filesWritten++
    this.#predictions += events
    metrics.writeSeconds.observe((performance.now() - startedAt) / 1000)
    metrics.predictions.inc(events)
    metrics.fileEvents.observe(events)
    metrics.lastFile.set(Date.now() / 1000)
  }
}

function countEvents(batches: readonly PredictionBatch[]): number {
  return batches.reduce((sum, { eventIds }) => sum + eventIds.length, 0)
}

/** A full disk, a folder that is away: whatever is not a fault of the program may pass. */
function isPassing(error: unknown): boolean {
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof AssertionError
  return error instanceof Error && !isOurs && !(error instanceof UsageError)
}

/**
 * The columns of an archived prediction, one row per event. Angles in radians, but `ra` and `dec` (ICRS) in degrees; times in
 * UTC; null where not known.
 */
const COLUMNS = [
  { name: 'event_id', type: 'int64', from: 'int64' },
  { name: 'azimuth', type: 'double', from: 'float64' },
  { name: 'zenith', type: 'double', from: 'float64' },
  { name: 'kappa', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'degenerate', type: 'boolean', from: 'uint8' },
  { name: 'pulses', type: 'int32', from: 'int32' },
  { name: 'true_azimuth', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'true_zenith', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'angular_error', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'reference_azimuth', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'reference_zenith', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'reference_angle', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'utc', type: 'timestamp', from: 'float64', nanIsNull: true },
  { name: 'ra', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'dec', type: 'double', from: 'float64', nanIsNull: true },
  { name: 'model', type: 'string', from: 'string' },
  { name: 'model_version', type: 'string', from: 'string' },
  { name: 'batch_id', type: 'string', from: 'string' },
  { name: 'consumer', type: 'string', from: 'string' },
  { name: 'emitted_at', type: 'timestamp', from: 'float64' },
  { name: 'predicted_at', type: 'timestamp', from: 'float64' },
] as const satisfies readonly ParquetColumn[]

/** Writes predictions to a Parquet file, in order. */
export async function writePredictions(path: string, batches: readonly PredictionBatch[]): Promise<void> {
  await using writer = await openParquetWriter(path, COLUMNS, { compression: 'zstd' })
  for (const batch of batches) await writer.append(toColumns(batch))
  await writer.finish()
}

/** In the order of COLUMNS. */
function toColumns(predictions: PredictionBatch): ColumnArray[] {
  const { origin, truth, reference, utc } = predictions
  const events = predictions.eventIds.length
  const unknown = new Float64Array(events).fill(Number.NaN)
  const times = (ms: number): Float64Array => new Float64Array(events).fill(ms)
  const same = (text: string): string[] => Array<string>(events).fill(text)
  return [
    predictions.eventIds,
    predictions.azimuth,
    predictions.zenith,
    predictions.kappa,
    predictions.degenerate,
    predictions.pulses,
    truth?.azimuth ?? unknown,
    truth?.zenith ?? unknown,
    truth ? openingAngles(predictions, truth) : unknown,
    reference?.azimuth ?? unknown,
    reference?.zenith ?? unknown,
    reference ? openingAngles(predictions, reference) : unknown,
    utc ? Float64Array.from(utc, toUnixMs) : unknown,
    ...toSky(predictions),
    same(origin.model),
    same(origin.modelVersion),
    same(origin.batchId),
    same(origin.consumer),
    times(origin.emittedAtMs),
    times(origin.predictedAtMs),
  ]
}

const DEGREES = 180 / Math.PI

/** Right ascension and declination, degrees; NaN where the time of an event is not known. */
function toSky({ azimuth, zenith, utc }: PredictionBatch): [Float64Array, Float64Array] {
  const ra = new Float64Array(azimuth.length).fill(Number.NaN)
  const dec = new Float64Array(azimuth.length).fill(Number.NaN)
  for (const [i, time] of (utc ?? []).entries()) {
    if (time === UTC_UNKNOWN) continue
    const direction = { azimuth: azimuth[i], zenith: zenith[i] }
    const { rightAscension, declination } = toEquatorial(direction, toUnixMs(time), ICECUBE_SITE)
    ra[i] = rightAscension * DEGREES
    dec[i] = declination * DEGREES
  }
  return [ra, dec]
}
