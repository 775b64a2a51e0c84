import { describe, expect, it } from 'vitest'
import { randomEvents, seededRandom } from '../../test/support/random-events.ts'
import { EventError } from '../errors.ts'
import { eventCount, pulseCount } from './event-batch.ts'
import { decodePredictionBatch, encodePredictionBatch } from './prediction-wire.ts'
import { decodeEventBatch, decodeEvents, encodeEventBatch } from './wire.ts'

const events = encodeEventBatch(randomEvents({ events: 4, truth: true }))
const predictions = encodePredictionBatch({
  origin: { batchId: 'b', model: 'm', modelVersion: '1', consumer: 'c', emittedAtMs: 1, predictedAtMs: 2 },
  eventIds: BigInt64Array.of(1n, 2n),
  azimuth: Float64Array.of(1, 2),
  zenith: Float64Array.of(1, 2),
  kappa: Float64Array.of(1, Number.NaN),
  degenerate: Uint8Array.of(0, 1),
  pulses: Int32Array.of(3, 4),
})

const forms = [
  { name: 'events', bytes: events, decode: decodeLoosely },
  { name: 'predictions', bytes: predictions, decode: (bytes: Uint8Array) => decodePredictionBatch(bytes) },
]

/** Decodes and uses every pulse of the result, so that a batch that is not whole shows. */
function decodeLoosely(bytes: Uint8Array): void {
  const { batch, faults } = decodeEvents(bytes)
  const count = eventCount(batch)
  expect(batch.offsets).toHaveLength(count + 1)
  expect(batch.offsets[0]).toBe(0)
  for (let i = 0; i < count; i++) expect(batch.offsets[i + 1]).toBeGreaterThanOrEqual(batch.offsets[i])
  for (const array of [batch.sensorIds, batch.times, batch.charges, batch.auxiliary]) {
    expect(array.length).toBe(pulseCount(batch))
    expect(array.length).toBeLessThan(bytes.length)
  }
  for (const fault of faults) expect(batch.eventIds[fault.index]).toBe(fault.eventId)
}

/** Runs it, lets an EventError pass and nothing else; says whether there was one. */
function isRefused(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
  try {
    decode(bytes)
    return false
  } catch (error) {
    if (error instanceof EventError) return true
    throw error
  }
}

describe.each(forms)('damaged $name', ({ bytes, decode }) => {
  it('are refused at every length that is not whole', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(isRefused(decode, bytes.subarray(0, length)), `cut to ${length} bytes`).toBe(true)
    }
  })

  it('are an EventError or a whole batch whichever bit is flipped', () => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice()
      damaged[bit >> 3] ^= 1 << (bit & 7)
      isRefused(decode, damaged)
    }
  })

  it('are an EventError or a whole batch after many random changes', () => {
    const random = seededRandom(20251123)
    for (let round = 0; round < 10_000; round++) {
      const damaged = bytes.slice()
      const changes = 1 + Math.floor(random() * 12)
      for (let i = 0; i < changes; i++) {
        // Extremes are where lengths overflow.
        const value = [0, 0x7f, 0x80, 0xff, Math.floor(random() * 256)][Math.floor(random() * 5)]
        const at = Math.floor(random() * damaged.length)
        damaged.fill(value, at, at + 1 + Math.floor(random() * 4))
      }
      isRefused(decode, damaged)
    }
  })
})

describe('bytes that never were an Arrow stream', () => {
  const random = seededRandom(7)
  it.each([
    { name: 'nothing', bytes: new Uint8Array(0) },
    {
      name: 'a pickle',
      bytes: Buffer.from('80049529000000000000007d94288c086576656e745f6964944b188c', 'hex'),
    },
    { name: 'JSON', bytes: Buffer.from('{"event_id": 24, "pulses": []}') },
    { name: 'zeros', bytes: new Uint8Array(4096) },
    { name: 'ones', bytes: new Uint8Array(4096).fill(255) },
    { name: 'noise', bytes: Uint8Array.from({ length: 5000 }, () => random() * 256) },
    { name: 'the head of an Arrow file', bytes: Buffer.from('ARROW1\0\0') },
    { name: 'an end marker alone', bytes: Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0) },
    { name: 'events and more', bytes: Buffer.concat([events, Buffer.from('more')]) },
  ])('are wire_unreadable: $name', ({ bytes }) => {
    expect(() => decodeEventBatch(bytes)).toThrow(expect.objectContaining({ code: 'wire_unreadable' }))
  })
})
