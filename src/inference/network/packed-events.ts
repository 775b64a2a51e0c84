import type { EventBatch } from '../../event/event-batch.ts'

const BLOCK_BYTES_MIN = 65_536
/** Larger blocks, for events of very many pulses, are not kept. */
const BLOCK_BYTES_KEPT = 4_194_304

/**
 * Blocks of shared memory that are used again. A fresh block for each job costs more than everything else that the main
 * thread does for it: its pages are cleared, touched for the first time, and later collected.
 */
export class Blocks {
  readonly #free: SharedArrayBuffer[] = []
  readonly #keptMax: number

  constructor(keptMax: number) {
    this.#keptMax = keptMax
  }

  /** A block of at least so many bytes, with whatever it held before. */
  take(bytes: number): SharedArrayBuffer {
    const index = this.#free.findIndex(({ byteLength }) => byteLength >= bytes)
    if (index >= 0) return this.#free.splice(index, 1)[0]
    return new SharedArrayBuffer(Math.max(BLOCK_BYTES_MIN, 2 ** Math.ceil(Math.log2(bytes))))
  }

  /** Only for a block that no thread reads or writes any more. */
  giveBack(block: SharedArrayBuffer): void {
    if (block.byteLength > BLOCK_BYTES_KEPT) return
    if (this.#free.length >= this.#keptMax) this.#free.shift()
    this.#free.push(block)
  }
}

/** Events without ids, and room for their answers, in one block of memory that all threads see. */
export interface PackedEvents {
  /** May be larger than the events need. */
  readonly buffer: SharedArrayBuffer
  readonly events: number
  readonly pulses: number
}

/** One event of a batch that lies elsewhere. */
export interface EventAt {
  readonly batch: EventBatch
  readonly event: number
}

/** The events in the order given, from any number of batches, in a block from `blocks`. */
export function packEvents(events: readonly EventAt[], blocks: Blocks): PackedEvents {
  let pulses = 0
  for (const { batch, event } of events) pulses += batch.offsets[event + 1] - batch.offsets[event]
  const packed = { buffer: blocks.take(bytesOf(events.length, pulses)), events: events.length, pulses }
  const into = unpackEvents(packed)
  let at = 0
  into.offsets[0] = at
  for (const [i, { batch, event }] of events.entries()) {
    const from = batch.offsets[event]
    const to = batch.offsets[event + 1]
    const { times, charges, sensorIds, auxiliary } = batch
    for (let row = from; row < to; row++, at++) {
      into.times[at] = times[row]
      into.charges[at] = charges[row]
      into.sensorIds[at] = sensorIds[row]
      into.auxiliary[at] = auxiliary[row]
    }
    into.offsets[i + 1] = at
  }
  return packed
}

/** Views of the block as a batch; all its event ids are 0. */
export function unpackEvents({ buffer, events, pulses }: PackedEvents): EventBatch {
  const offsets = answerBytes(events)
  const times = offsets + 4 * (events + 1)
  const charges = times + 4 * pulses
  const sensorIds = charges + 4 * pulses
  return {
    eventIds: new BigInt64Array(events),
    offsets: new Int32Array(buffer, offsets, events + 1),
    times: new Float32Array(buffer, times, pulses),
    charges: new Float32Array(buffer, charges, pulses),
    sensorIds: new Uint16Array(buffer, sensorIds, pulses),
    auxiliary: new Uint8Array(buffer, sensorIds + 2 * pulses, pulses),
  }
}

/**
 * Where a worker leaves what it answers: azimuth, zenith, kappa, degenerate, one column after the other. What they hold
 * before is of no meaning. [4 × events]
 */
export function answersOf({ buffer, events }: PackedEvents): Float64Array {
  return new Float64Array(buffer, 0, 4 * events)
}

function bytesOf(events: number, pulses: number): number {
  return answerBytes(events) + 4 * (events + 1) + 11 * pulses
}

function answerBytes(events: number): number {
  return 4 * events * Float64Array.BYTES_PER_ELEMENT
}
