import type { EventBatch } from '../../event/event-batch.ts'
import { SENSOR_COUNT } from '../../event/sensors.ts'
import { Blocks, packEvents } from './packed-events.ts'
import type { Job } from './worker-messages.ts'

const LENGTHS = [8, 32, 64, 128]
/** Enough for the compiler to have optimised the feature code. */
const ROUNDS = 8

/** A job of made-up events, so that the first real ones do not wait for compilation and first allocations. */
export function warmUpEvents(): Job {
  const lengths = LENGTHS.flatMap((length) => new Array<number>(ROUNDS).fill(length))
  const batch = madeUpEvents(lengths)
  const events = packEvents(
    lengths.map((_, event) => ({ batch, event })),
    new Blocks(0),
  )
  return { kind: 'events', events, runSizes: lengths.map(() => 1) }
}

/** Events of the lengths given: sensors all over the detector, times 10 ns apart from 10,000 on, charges of 1. */
export function madeUpEvents(lengths: readonly number[]): EventBatch {
  const offsets = new Int32Array(lengths.length + 1)
  for (const [i, length] of lengths.entries()) offsets[i + 1] = offsets[i] + length
  const pulses = offsets[lengths.length]
  return {
    eventIds: new BigInt64Array(lengths.length),
    offsets,
    sensorIds: Uint16Array.from({ length: pulses }, (_, i) => (i * 61) % SENSOR_COUNT),
    times: Float32Array.from({ length: pulses }, (_, i) => 10_000 + 10 * i),
    charges: new Float32Array(pulses).fill(1),
    auxiliary: Uint8Array.from({ length: pulses }, (_, i) => i % 2),
  }
}
