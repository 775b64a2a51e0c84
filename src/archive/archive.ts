import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { abortLater, untilAborted, within } from '../async/deadline.ts'
import { type ReadAhead, readAhead } from '../async/read-ahead.ts'
import type { ReaderBroker, StoredPredictions } from '../broker/contract.ts'
import { claimFolder, lastFiles, makeFolder } from './folder.ts'
import type { ArchiveMetrics } from './metrics.ts'
import { ArchiveWriter } from './writer.ts'

export interface ArchiveOptions {
  readonly broker: ReaderBroker
  /** Holds the archived files, and with them where to continue. Of several archives of one stream into it, one writes and the others stand by. */
  readonly dir: string
  /** A file is written as soon as it would have so many. */
  readonly eventsPerFileMax?: number
  /** Longest that a prediction waits for its file. */
  readonly intervalMs?: number
  readonly metrics: ArchiveMetrics
  readonly log: Logger
  readonly signal: AbortSignal
  /** Name under which the broker keeps predictions for this archive; the same after a restart. */
  readonly reader?: string
}

export interface ArchiveReport {
  readonly files: number
  readonly predictions: number
}

/** After the signal, reading continues until nothing has come for so long, so that predictions stored before it are archived. */
const LINGER_IDLE_MS = 250
const LINGER_MAX_MS = 5_000
/** The broker forgets a reader that it has not heard of for a day. */
const HOLD_AGAIN_MS = 600_000
/** A broker that is away must not keep an archive from stopping; the next hold makes good for one that was missed. */
const HOLD_WITHIN_MS = 5_000
const LAST_HOLD_WITHIN_MS = 1_000

/**
 * Writes every stored prediction once into Parquet files, until `signal` aborts; then writes what is left. After any
 * crash it continues with what the folder does not hold yet, as the names of its files say. A full disk is waited for:
 * nothing is read meanwhile, and the broker keeps what is not archived. The folder may hold files of several streams. When the
 * broker was emptied and its stream begun anew, batches that the folder holds already are not written again (repeats.ts).
 * @throws UsageError where `dir` cannot be a folder that we may write to
 */
export async function archive(options: ArchiveOptions): Promise<ArchiveReport> {
  const { broker, dir, log, signal } = options
  await makeFolder(dir)
  const report = { files: 0, predictions: 0 }
  for (let stream = await streamIdOf(broker, signal); stream !== undefined; ) {
    const { written, next } = await archiveStream(options, stream)
    report.files += written.files
    report.predictions += written.predictions
    stream = next
  }
  log.info(report, 'archive stopped')
  return report
}

interface StreamEnd {
  readonly written: ArchiveReport
  /** The stream that has taken its place in the broker, if that is why it ended. */
  readonly next: string | undefined
}

/** Archives one stream, until stopped or until the broker holds another in its place, as one that was emptied does. */
async function archiveStream(options: ArchiveOptions, stream: string): Promise<StreamEnd> {
  const { broker, dir, intervalMs = 10_000, metrics, log, signal } = options
  using claim = await claimFolder({ dir, stream, log, signal })
  if (claim === undefined) return { written: { files: 0, predictions: 0 }, next: undefined }
  const files = await lastFiles(dir, stream)
  const writer = new ArchiveWriter({ dir, stream, files, intervalMs, metrics, log, signal })
  const hold = createHold(options, writer)
  const another = async () => {
    const found = await within(() => broker.streamId(), HOLD_WITHIN_MS).catch(() => stream)
    return found === stream ? undefined : found
  }
  await hold()
  log.info({ dir, stream, after: Object.fromEntries(writer.taken()) }, 'archiving')

  const reading = new AbortController()
  await using stored = readAhead(broker.predictions({ after: writer.taken(), signal: reading.signal }))
  try {
    const next = await writeAll(options, writer, { stored, hold, another })
    if (next !== undefined)
      log.warn({ stream, next }, 'the broker holds another stream now, archiving that one')
    return { written: writer.report, next }
  } finally {
    reading.abort()
  }
}

/** Waits for a broker that is away; undefined when stopped and it does not answer soon. */
async function streamIdOf(broker: ReaderBroker, signal: AbortSignal): Promise<string | undefined> {
  const late = abortLater(signal, HOLD_WITHIN_MS)
  return untilAborted(broker.streamId(), late).catch((error: unknown) => {
    if (!late.aborted) throw error
    return undefined
  })
}

interface Reading {
  readonly stored: ReadAhead<StoredPredictions>
  readonly hold: () => Promise<void>
  /** The id of the stream that the broker holds, where that is another now. */
  readonly another: () => Promise<string | undefined>
}

/**
 * Reads and writes until there is nothing more to read, or until stopped and nothing more comes; or until the broker holds
 * another stream, whose id is returned.
 */
async function writeAll(
  options: ArchiveOptions,
  writer: ArchiveWriter,
  { stored, hold, another }: Reading,
): Promise<string | undefined> {
  const { signal, intervalMs = 10_000, eventsPerFileMax = 200_000 } = options
  const put = async () => {
    const next = writer.pending > 0 ? await another() : undefined
    // The last predictions that were read may be of that stream, and be repeats.
    if (next !== undefined) writer.lookForRepeats()
    await writer.flush()
    if (next === undefined) await hold()
    return next
  }
  let flushAt = performance.now() + intervalMs
  let stopAt = Number.POSITIVE_INFINITY
  for (;;) {
    const stopping = signal.aborted
    if (stopping) stopAt = Math.min(stopAt, performance.now() + LINGER_MAX_MS)
    const waitMs = stopping ? LINGER_IDLE_MS : Math.max(0, flushAt - performance.now())
    const item = await stored.next(stopping ? NEVER : signal, waitMs).catch((error: unknown) => {
      // The first round after the stop takes what is stored by then.
      if (!stopping && signal.aborted && error === signal.reason) return 'late' as const
      throw error
    })
    if (item === 'end' || (stopping && (item === 'late' || performance.now() > stopAt))) break
    if (item !== 'late') writer.add(item.value)
    if (writer.pending < eventsPerFileMax && performance.now() < flushAt) continue
    const next = await put()
    if (next !== undefined) return next
    flushAt = performance.now() + intervalMs
  }
  await put()
  return undefined
}

const NEVER = new AbortController().signal

/** Tells the broker what is safe on disk, so that it may trim that and nothing after it. */
function createHold(
  { broker, dir, log, reader, signal }: ArchiveOptions,
  writer: ArchiveWriter,
): () => Promise<void> {
  const name = reader ?? `archive ${hostname()} ${resolve(dir)}`
  let held: { readonly taken: string; readonly at: number } | undefined
  return async () => {
    const taken = JSON.stringify([...writer.taken()])
    if (held?.taken === taken && performance.now() - held.at < HOLD_AGAIN_MS) return
    try {
      const limitMs = signal.aborted ? LAST_HOLD_WITHIN_MS : HOLD_WITHIN_MS
      await within(() => broker.holdPredictions(name, writer.taken()), limitMs)
      held = { taken, at: performance.now() }
    } catch (error) {
      log.warn({ err: error }, 'broker not told what is archived')
    }
  }
}
