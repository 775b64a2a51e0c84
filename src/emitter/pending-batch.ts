import { type EventBatch, sliceEvents } from '../event/event-batch.ts'
import type { RejectedEvent } from '../source/source.ts'
import type { EventPlace } from './run.ts'

/** Events to be published together. */
export interface FormedBatch {
  /** In order; to be joined. */
  readonly parts: readonly EventBatch[]
  readonly events: number
  readonly pulses: number
  readonly rejected: readonly RejectedEvent[]
  /** Where the source goes on after it. */
  readonly place: EventPlace
  /** When its first event was due, and its last. Milliseconds of `performance.now()`. */
  readonly dueMs: number
  readonly readyMs: number
}

export interface BatchLimits {
  readonly eventsMax: number
  /** A larger event travels alone. */
  readonly pulsesMax: number
  /** Longest that the first event waits for company. */
  readonly lingerMs: number
}

interface Part {
  readonly events: EventBatch
  readonly from: number
  to: number
}

/** The batch that is being formed. */
export class PendingBatch {
  readonly #limits: BatchLimits
  #parts: Part[] = []
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
    const last = this.#parts[this.#parts.length - 1]
    if (last?.events === events && last.to === index) last.to++
    else this.#parts.push({ events, from: index, to: index + 1 })
    this.#ids.add(events.eventIds[index])
    this.#pulses += pulsesOf(events, index)
    this.#dueMs ??= dueMs
    this.#readyMs = dueMs
  }

  reject(rejected: readonly RejectedEvent[], nowMs: number): void {
    if (rejected.length === 0) return
    this.#rejected.push(...rejected)
    this.#dueMs ??= nowMs
    if (this.#parts.length === 0) this.#readyMs = nowMs
  }

  /** What has been added is followed by this place. */
  moveTo(place: EventPlace): void {
    this.#place = place
  }

  take(nowMs: number): FormedBatch {
    const batch: FormedBatch = {
      parts: this.#parts.map(({ events, from, to }) => sliceEvents(events, from, to)),
      events: this.#ids.size,
      pulses: this.#pulses,
      rejected: this.#rejected,
      place: this.#place,
      dueMs: this.#dueMs ?? nowMs,
      readyMs: this.#dueMs === undefined ? nowMs : this.#readyMs,
    }
    this.#parts = []
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
