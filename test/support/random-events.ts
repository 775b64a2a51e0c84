import { type EventBatch, UTC_UNKNOWN } from '../../src/event/event-batch.ts'

/** Numbers from 0 to 1 (exclusive), the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface RandomEventsOptions {
  readonly seed?: number
  readonly events?: number
  /** Each event has from 1 to this many. */
  readonly pulsesMax?: number
  readonly truth?: boolean
  /** The first event has no reference. */
  readonly reference?: boolean
  /** The time of the last event is not known. */
  readonly utc?: boolean
}

/** Valid events without physics: ids from 100 on, pulses of any sensor at any time. */
export function randomEvents(options: RandomEventsOptions = {}): EventBatch {
  const { seed = 1, events = 5, pulsesMax = 9, truth = false, reference = false, utc = false } = options
  const random = seededRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const counts = Array.from({ length: events }, () => 1 + below(pulsesMax))
  const offsets = Int32Array.of(0, ...counts)
  for (let i = 1; i <= events; i++) offsets[i] += offsets[i - 1]
  const pulses = offsets[events]
  return {
    eventIds: BigInt64Array.from(counts, (_, i) => BigInt(100 + i)),
    offsets,
    sensorIds: Uint16Array.from({ length: pulses }, () => below(5160)),
    times: Float32Array.from({ length: pulses }, () => 5000 + below(20_000)),
    charges: Float32Array.from({ length: pulses }, () => 0.025 + 0.05 * below(100)),
    auxiliary: Uint8Array.from({ length: pulses }, () => below(2)),
    ...(utc && {
      utc: BigInt64Array.from(counts, (_, i) =>
        i === events - 1 ? UTC_UNKNOWN : 1_795_000_000_000_000_000n + BigInt(i),
      ),
    }),
    ...(truth && {
      truth: {
        azimuth: Float64Array.from(counts, () => random() * 2 * Math.PI),
        zenith: Float64Array.from(counts, () => random() * Math.PI),
      },
    }),
    ...(reference && {
      reference: {
        azimuth: Float64Array.from(counts, (_, i) => (i === 0 ? Number.NaN : random() * 2 * Math.PI)),
        zenith: Float64Array.from(counts, (_, i) => (i === 0 ? Number.NaN : random() * Math.PI)),
      },
    }),
  }
}
