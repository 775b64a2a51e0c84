import { describe, expect, it } from 'vitest'
import { randomEvents } from '../../test/support/random-events.ts'
import { type EventBatch, eventCount, sliceEvents } from './event-batch.ts'
import { decodeEventBatch, encodeEventBatch } from './wire.ts'

function pulsesOf(batch: EventBatch) {
  const [from, to] = [batch.offsets[0], batch.offsets[eventCount(batch)]]
  return {
    ids: [...batch.eventIds],
    lengths: [...batch.eventIds.keys()].map((i) => batch.offsets[i + 1] - batch.offsets[i]),
    sensors: [...batch.sensorIds.subarray(from, to)],
    times: [...batch.times.subarray(from, to)],
    charges: [...batch.charges.subarray(from, to)],
    auxiliary: [...batch.auxiliary.subarray(from, to)],
  }
}

describe('what was decoded', () => {
  // The columns of a decoded batch are views of one buffer, which Arrow's own writer joins where they touch.
  it.each(Array.from({ length: 24 }, (_, seed) => ({ seed })))(
    'is encoded again unharmed (seed $seed)',
    ({ seed }) => {
      const events = randomEvents({ seed, events: 1 + seed, pulsesMax: 40, truth: seed % 2 === 0 })
      const once = decodeEventBatch(encodeEventBatch(events))
      const again = decodeEventBatch(encodeEventBatch(once))
      expect(pulsesOf(again)).toEqual(pulsesOf(events))
      const from = seed >> 1
      const part = decodeEventBatch(encodeEventBatch(sliceEvents(again, from, eventCount(again))))
      expect(pulsesOf(part)).toEqual(pulsesOf(sliceEvents(events, from, eventCount(events))))
    },
  )
})
