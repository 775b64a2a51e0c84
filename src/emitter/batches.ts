import { readAhead } from '../async/read-ahead.ts'
import { type EventBatch, eventCount, sliceEvents } from '../event/event-batch.ts'
import { Random } from '../simulator/random.ts'
import type { EventSource, RejectedEvent, SourceChunk } from '../source/source.ts'
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
 * Gathers a source's events, in order, to batches with their due times, until the source has ended or the events were
 * enough.
 *
 * The rejected events of a chunk go with the batch that completes the chunk: so a place within a chunk always means
 * that none of them has been published, and it holds for any size of chunk.
 * @throws the signal's reason when aborted, and what the source throws, after what came before it
 */
export async function* formBatches(options: FormOptions): AsyncGenerator<FormedBatch, void> {
  const { pacer, signal, place, eventsLeft } = options
  const pending = new PendingBatch(options, place)
  // A source that waits for its next events would otherwise keep a reader that has enough from ending.
  const enough = new AbortController()
  let left = eventsLeft
  let failure: { readonly error: unknown } | undefined
  await using stretches = readAhead(readPasses(options, AbortSignal.any([signal, enough.signal])))
  try {
    while (left > 0) {
      const askedMs = performance.now()
      const waitMs = pending.deadlineMs === undefined ? undefined : Math.max(0, pending.deadlineMs - askedMs)
      const next = await stretches.next(signal, waitMs).catch((error: unknown) => {
        signal.throwIfAborted()
        failure = { error }
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
    signal.throwIfAborted()
    if (pending.size > 0) yield pending.take(performance.now())
    if (failure) throw failure.error
  } finally {
    enough.abort()
  }
}

interface Stretch {
  readonly chunk: SourceChunk
  /** The place before it. */
  readonly from: EventPlace
}

async function* readPasses(options: FormOptions, signal: AbortSignal): AsyncGenerator<Stretch> {
  const { source, place, loop, chunkEvents: eventsMax = options.eventsMax } = options
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

/** Events to be published together. */
export interface FormedBatch {
  /** In order; to be joined. */
  readonly slices: readonly EventBatch[]
  readonly events: number
  readonly pulses: number
  readonly rejected: readonly RejectedEvent[]
  /** Where the source continues after it. */
  readonly place: EventPlace
  /** When its first event was due, and its last. Milliseconds of `performance.now()`. */
  readonly dueMs: number
  readonly readyMs: number
}

export interface BatchLimits {
  readonly eventsMax: number
  /** A larger event travels alone. */
  readonly pulsesMax: number
  /** Longest that the first event waits for others. */
  readonly lingerMs: number
}

interface EventSlice {
  readonly events: EventBatch
  readonly from: number
  to: number
}

/** The batch that is being formed. */
export class PendingBatch {
  readonly #limits: BatchLimits
  #slices: EventSlice[] = []
  #ids = new Set<bigint>()
  #pulses = 0
  #rejected: RejectedEvent[] = []
  #dueMs: number | undefined
  #readyMs = 0
  #place: EventPlace

  constructor(limits: BatchLimits, place: EventPlace) {
    this.#limits = limits
    this.#place = place
  }

  /** Events and rejected ones. */
  get size(): number {
    return this.#ids.size + this.#rejected.length
  }

  get isFull(): boolean {
    return this.#ids.size >= this.#limits.eventsMax || this.#pulses >= this.#limits.pulsesMax
  }

  /** When it must leave; undefined while it is empty. */
  get deadlineMs(): number | undefined {
    return this.#dueMs === undefined ? undefined : this.#dueMs + this.#limits.lingerMs
  }

  /** Whether an event that is due then may travel with the others. A consumer rejects the second event of one id. */
  hasRoomFor(events: EventBatch, index: number, dueMs: number): boolean {
    if (this.size === 0) return true
    const { deadlineMs = dueMs } = this
    const fits = this.#pulses + pulsesOf(events, index) <= this.#limits.pulsesMax
    return dueMs <= deadlineMs && fits && !this.isFull && !this.#ids.has(events.eventIds[index])
  }

  add(events: EventBatch, index: number, dueMs: number): void {
    const last = this.#slices[this.#slices.length - 1]
    if (last?.events === events && last.to === index) last.to++
    else this.#slices.push({ events, from: index, to: index + 1 })
    this.#ids.add(events.eventIds[index])
    this.#pulses += pulsesOf(events, index)
    this.#dueMs ??= dueMs
    this.#readyMs = dueMs
  }

  reject(rejected: readonly RejectedEvent[], nowMs: number): void {
    if (rejected.length === 0) return
    this.#rejected.push(...rejected)
    this.#dueMs ??= nowMs
    if (this.#slices.length === 0) this.#readyMs = nowMs
  }

  /** What has been added is followed by this place. */
  moveTo(place: EventPlace): void {
    this.#place = place
  }

  take(nowMs: number): FormedBatch {
    const batch: FormedBatch = {
      slices: this.#slices.map(({ events, from, to }) => sliceEvents(events, from, to)),
      events: this.#ids.size,
      pulses: this.#pulses,
      rejected: this.#rejected,
      place: this.#place,
      dueMs: this.#dueMs ?? nowMs,
      readyMs: this.#dueMs === undefined ? nowMs : this.#readyMs,
    }
    this.#slices = []
    this.#ids = new Set()
    this.#pulses = 0
    this.#rejected = []
    this.#dueMs = undefined
    return batch
  }
}

function pulsesOf(events: EventBatch, index: number): number {
  return events.offsets[index + 1] - events.offsets[index]
}

/** When events are due, in milliseconds of the monotonic clock (`performance.now()`). */
export interface Pacer {
  /** When the next event is due. Never before the one before it. */
  dueMs(): number
  /** The next event is taken; the one after it becomes the next. */
  advance(): void
  /** The source was idle: the schedule continues from now instead of catching up. */
  restart(nowMs: number): void
}

/** Any number: the arrivals of a run that names no seed are the same every time too. */
const DEFAULT_SEED = 1

/**
 * The schedule of an open-loop source: independent arrivals at a mean rate (events/s), so gaps are exponential. It does
 * not wait for anybody: what comes late stays due when it was due. At the rate `max` everything is due at once.
 */
export function createPacer(rate: number | 'max', nowMs: () => number, seed = DEFAULT_SEED): Pacer {
  if (rate === 'max') return { dueMs: nowMs, advance: () => {}, restart: () => {} }
  const random = new Random()
  random.restart(seed, 0)
  const meanGapMs = 1000 / rate
  let dueMs: number | undefined
  return {
    dueMs: () => {
      dueMs ??= nowMs()
      return dueMs
    },
    advance: () => {
      dueMs = (dueMs ?? nowMs()) + meanGapMs * random.exponential()
    },
    restart: (at) => {
      dueMs = Math.max(dueMs ?? at, at)
    },
  }
}
