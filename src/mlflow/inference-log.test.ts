import { expect, it } from 'vitest'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { ThinnedSample } from './inference-log.ts'

function batch(id: number, events: number): PredictionBatch {
  const column = () => new Float64Array(events).fill(id)
  return {
    origin: {
      batchId: String(id),
      model: 'm',
      modelVersion: '1',
      consumer: 'c',
      emittedAtMs: 0,
      predictedAtMs: 0,
    },
    eventIds: new BigInt64Array(events).fill(BigInt(id)),
    azimuth: column(),
    zenith: column(),
    kappa: column(),
    degenerate: new Uint8Array(events),
    pulses: new Int32Array(events),
    truth: { azimuth: column(), zenith: column() },
  }
}

it.each([
  { batches: 3, events: 10, max: 100 },
  { batches: 1000, events: 1, max: 50 },
  { batches: 999, events: 100, max: 500 },
])(
  '$batches batches of $events events: at most $max events, from the whole run',
  ({ batches, events, max }) => {
    const sample = new ThinnedSample(max)
    for (let id = 1; id <= batches; id++) sample.offer(batch(id, events))
    const kept = sample.batches.map(({ origin }) => Number(origin.batchId))
    expect(kept.length * events).toBeLessThanOrEqual(max)
    expect(kept.length * events).toBeGreaterThan(Math.min(max, batches * events) / 4)
    expect(kept[0]).toBe(1)
    const gaps = kept.slice(1).map((id, i) => id - kept[i])
    expect(new Set(gaps).size).toBe(1)
    expect(batches - (kept.at(-1) ?? 0)).toBeLessThan(gaps[0])
  },
)

it('holds copies of the first events of a large batch, truth included', () => {
  const sample = new ThinnedSample(1000)
  const large = batch(1, 4096)
  sample.offer(large)
  const [kept] = sample.batches
  expect(kept.eventIds).toHaveLength(512)
  expect(kept.truth?.zenith).toHaveLength(512)
  expect(kept.azimuth.buffer).not.toBe(large.azimuth.buffer)
  expect(kept.azimuth.buffer.byteLength).toBe(512 * 8)
  expect(kept.origin).toEqual(large.origin)
})
