import type { EventBatch, Truth } from '../event/event-batch.ts'
import type { PulseRows } from '../formats/parquet/read.ts'

const INITIAL_PULSES = 32_768

/**
 * Events under construction, in arrays that grow and are used again: pulses are appended to the open event, which is
 * then kept or dropped.
 */
export class EventBuilder {
  #eventIds: bigint[] = []
  #offsets: number[] = [0]
  #pulses = 0
  #sensorIds = new Uint16Array(INITIAL_PULSES)
  #times = new Float32Array(INITIAL_PULSES)
  #charges = new Float32Array(INITIAL_PULSES)
  #auxiliary = new Uint8Array(INITIAL_PULSES)

  /** Events that are kept. */
  get events(): number {
    return this.#eventIds.length
  }

  /** Pulses of the events that are kept. */
  get pulses(): number {
    return this.#offsets[this.#offsets.length - 1]
  }

  get openPulses(): number {
    return this.#pulses - this.pulses
  }

  /** Appends rows `from` to `to` (exclusive) to the open event. */
  append(rows: PulseRows, from: number, to: number): void {
    const at = this.#pulses
    this.#reserve(at + to - from)
    this.#sensorIds.set(rows.sensorIds.subarray(from, to), at)
    this.#times.set(rows.times.subarray(from, to), at)
    this.#charges.set(rows.charges.subarray(from, to), at)
    this.#auxiliary.set(rows.auxiliary.subarray(from, to), at)
    this.#pulses += to - from
  }

  keepOpen(eventId: bigint): void {
    this.#eventIds.push(eventId)
    this.#offsets.push(this.#pulses)
  }

  dropOpen(): void {
    this.#pulses = this.pulses
  }

  /** The events that are kept, in arrays of their own; then begins anew. An open event is dropped. */
  take(truthOf?: (eventIds: BigInt64Array) => Truth): EventBatch {
    const pulses = this.pulses
    const eventIds = BigInt64Array.from(this.#eventIds)
    const batch: EventBatch = {
      eventIds,
      offsets: Int32Array.from(this.#offsets),
      sensorIds: this.#sensorIds.slice(0, pulses),
      times: this.#times.slice(0, pulses),
      charges: this.#charges.slice(0, pulses),
      auxiliary: this.#auxiliary.slice(0, pulses),
      ...(truthOf && { truth: truthOf(eventIds) }),
    }
    this.#eventIds = []
    this.#offsets = [0]
    this.#pulses = 0
    return batch
  }

  #reserve(pulses: number): void {
    if (pulses <= this.#times.length) return
    const capacity = 2 ** Math.ceil(Math.log2(pulses))
    this.#sensorIds = copyInto(new Uint16Array(capacity), this.#sensorIds)
    this.#times = copyInto(new Float32Array(capacity), this.#times)
    this.#charges = copyInto(new Float32Array(capacity), this.#charges)
    this.#auxiliary = copyInto(new Uint8Array(capacity), this.#auxiliary)
  }
}

function copyInto<T extends { set(from: T): void }>(into: T, from: T): T {
  into.set(from)
  return into
}
