import type { BatchMessage } from '../../src/broker/contract.ts'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { encodeEventBatch } from '../../src/event/wire.ts'

export interface MakeEventsOptions {
  readonly truth?: boolean
  readonly pulsesPerEvent?: number
}

/** Valid events with ids `firstId`, `firstId + 1` …; the same ids always give the same pulses. */
export function makeEvents(events: number, firstId = 1, options: MakeEventsOptions = {}): EventBatch {
  const { truth = false, pulsesPerEvent = 6 } = options
  const pulses = events * pulsesPerEvent
  const seed = (i: number): number => firstId * pulsesPerEvent + i
  return {
    eventIds: BigInt64Array.from({ length: events }, (_, i) => BigInt(firstId + i)),
    offsets: Int32Array.from({ length: events + 1 }, (_, i) => i * pulsesPerEvent),
    sensorIds: Uint16Array.from({ length: pulses }, (_, i) => (seed(i) * 61) % 5160),
    times: Float32Array.from({ length: pulses }, (_, i) => 9_900 + ((seed(i) * 37) % 4_000)),
    charges: Float32Array.from({ length: pulses }, (_, i) => 0.575 + (seed(i) % 8) / 4),
    auxiliary: Uint8Array.from({ length: pulses }, (_, i) => (i % pulsesPerEvent === 0 ? 0 : i % 2)),
    ...(truth && {
      truth: {
        azimuth: Float64Array.from({ length: events }, (_, i) => (firstId + i) % 6),
        zenith: Float64Array.from({ length: events }, (_, i) => (firstId + i) % 3),
      },
    }),
  }
}

/** A batch message as an emitter publishes it. */
export function toMessage(batchId: string, batch: EventBatch): BatchMessage {
  return {
    batchId,
    payload: encodeEventBatch(batch),
    events: batch.eventIds.length,
    emittedAtMs: Date.now(),
  }
}
