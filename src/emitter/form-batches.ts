import { eventCount } from '../event/event-batch.ts'
import type { EventSource, SourceChunk } from '../source/source.ts'
import type { Pacer } from './pacing.ts'
import { type BatchLimits, type FormedBatch, PendingBatch } from './pending-batch.ts'
import { readAhead } from './read-ahead.ts'
import type { EventPlace } from './run.ts'

export interface FormOptions extends BatchLimits {
  readonly source: EventSource
  /** Where to begin. */
  readonly place: EventPlace
  /** Events to form batches of at most, rejected ones included. */
  readonly eventsLeft: number
  /** Events in a chunk of the source; `eventsMax` unless told. */
  readonly chunkEvents?: number | undefined
  /** Begins the source again when it ends. */
  readonly loop: boolean
  readonly pacer: Pacer
  readonly signal: AbortSignal
}

/** A source that gives nothing for so long is idle (a watched folder, say), not late: the schedule waits for it. */
const IDLE_MS = 1_000

/**
 * Gathers a source's events, in order, to batches with their due times. Returns true when nothing is to follow (the
 * source has ended, or the events were enough) and false when it was aborted.
 *
 * The rejected events of a chunk go with the batch that completes the chunk: so a place within a chunk always means
 * that none of them has been published, and it holds for any size of chunk.
 * @throws what the source throws, after what came before it
 */
export async function* formBatches(options: FormOptions): AsyncGenerator<FormedBatch, boolean> {
  const { pacer, signal, place, eventsLeft } = options
  const pending = new PendingBatch(options, place)
  let left = eventsLeft
  const failures: unknown[] = []
  await using stretches = readAhead(readPasses(options), signal)
  while (left > 0 && !signal.aborted) {
    const askedMs = performance.now()
    const next = await stretches.next(pending.deadlineMs).catch((error: unknown) => {
      failures.push(error)
      return 'end' as const
    })
    const nowMs = performance.now()
    if (next === 'late') {
      yield pending.take(nowMs)
      continue
    }
    if (next === 'end') break
    if (nowMs - askedMs > IDLE_MS) pacer.restart(nowMs)
    const { events, rejected, resume } = next.value.chunk
    const { pass, at, skip } = next.value.from
    for (let i = skip; i < eventCount(events) && left > 0; i++) {
      const dueMs = pacer.dueMs()
      if (!pending.hasRoomFor(events, i, dueMs)) yield pending.take(nowMs)
      pending.add(events, i, dueMs)
      pending.moveTo({ pass, at, skip: i + 1 })
      pacer.advance()
      left--
      if (pending.isFull && left > 0) yield pending.take(nowMs)
    }
    if (left === 0) break
    const counted = rejected.slice(0, left)
    left -= counted.length
    pending.reject(counted, nowMs)
    pending.moveTo({ pass, at: resume, skip: Math.max(0, skip - eventCount(events)) })
    if (pending.size >= options.eventsMax && left > 0) yield pending.take(nowMs)
  }
  if (signal.aborted) return false
  if (pending.size > 0) yield pending.take(performance.now())
  if (failures.length > 0) throw failures[0]
  return true
}

interface Stretch {
  readonly chunk: SourceChunk
  /** The place before it. */
  readonly from: EventPlace
}

async function* readPasses(options: FormOptions): AsyncGenerator<Stretch> {
  const { source, place, loop, signal, chunkEvents: eventsMax = options.eventsMax } = options
  for (let from = place; ; ) {
    const isWhole = from.at === undefined
    let hasEvents = false
    const resume = from.at === undefined ? {} : { resume: from.at }
    for await (const chunk of source.read({ eventsMax, signal, ...resume })) {
      hasEvents = true
      yield { chunk, from }
      from = { pass: from.pass, at: chunk.resume, skip: Math.max(0, from.skip - eventCount(chunk.events)) }
    }
    // A source without events would be begun again and again for ever.
    if (!loop || signal.aborted || (isWhole && !hasEvents)) return
    from = { pass: from.pass + 1, at: undefined, skip: 0 }
  }
}
