import { expect, it } from 'vitest'
import { makeEvents, toMessage } from '../../test/support/plain-events.ts'
import type { Delivery } from '../broker/contract.ts'
import { selectEvents, sliceEvents } from '../event/event-batch.ts'
import { decodePredictionBatch } from '../event/prediction-wire.ts'
import { decodeEventBatch } from '../event/wire.ts'
import { batchDeadLetter } from './dead-letter.ts'
import { timesPutBack, toParts } from './parts.ts'
import { type Answered, goodIndices, toFate } from './settlement.ts'

function deliver(events = 4, truth = true): { delivery: Delivery; batch: Answered['batch'] } {
  const batch = makeEvents(events, 1, { truth })
  return {
    batch,
    delivery: { ...toMessage('b1', batch), emittedAtMs: 123, deliveryId: 'd1', partition: 0, attempt: 2 },
  }
}

function answer(events: number) {
  const column = (first: number) => Float64Array.from({ length: events }, (_, i) => first + i / 100)
  return {
    model: { name: 'm', version: '7' },
    azimuth: column(1),
    zenith: column(0.5),
    kappa: column(10),
    degenerate: Uint8Array.from({ length: events }, (_, i) => i % 2),
    faults: [],
  }
}

it('toFate() hands the columns on as they are where every event has a direction', () => {
  const { delivery, batch } = deliver()
  const inference = answer(4)
  const { predictions, settlement } = toFate({
    delivery,
    batch,
    faults: [],
    asked: batch,
    inference,
    consumer: 'C1',
  })
  expect(predictions.azimuth).toBe(inference.azimuth)
  expect(settlement).toMatchObject({ predicted: 4, deadLetters: [] })
})

it('toFate() hands on the time of each event that has a direction', () => {
  const { delivery, batch } = deliver()
  const timed = { ...batch, utc: BigInt64Array.of(10n, 20n, 30n, 40n) }
  const inference = answer(4)
  inference.azimuth[1] = Number.NaN
  const shared = { delivery, batch: timed, faults: [], asked: timed, consumer: 'C1' }
  expect(toFate({ ...shared, inference }).predictions.utc).toEqual(BigInt64Array.of(10n, 30n, 40n))
  expect(toFate({ ...shared, inference: answer(4) }).predictions.utc).toEqual(timed.utc)
})

it('toFate() fills in who predicted what from what, and passes truth and pulse counts through', () => {
  const { delivery, batch } = deliver()
  const { settlement } = toFate({
    delivery,
    batch,
    faults: [],
    asked: batch,
    inference: answer(4),
    consumer: 'C1',
  })
  const stored = decodePredictionBatch(settlement.predictions ?? new Uint8Array())
  expect(stored.origin).toMatchObject({
    batchId: 'b1',
    model: 'm',
    modelVersion: '7',
    consumer: 'C1',
    emittedAtMs: 123,
  })
  expect(stored.origin.predictedAtMs).toBeGreaterThan(1_700_000_000_000)
  expect(Array.from(stored.pulses)).toEqual([6, 6, 6, 6])
  expect(stored.truth).toEqual(batch.truth)
  expect(Array.from(stored.eventIds)).toEqual([1n, 2n, 3n, 4n])
})

it('toFate() makes a dead letter of each bad event alone, of its input or of its output', () => {
  const { delivery, batch } = deliver(5)
  const faults = [{ index: 1, eventId: 2n, code: 'charge_not_finite', message: 'charge NaN' } as const]
  const asked = selectEvents(batch, goodIndices(batch, faults))
  const inference = { ...answer(4), faults: [{ index: 1, code: 'model_failed', message: 'no' } as const] }
  inference.zenith[3] = Number.POSITIVE_INFINITY
  const { settlement } = toFate({ delivery, batch, faults, asked, inference, consumer: 'C1' })
  const stored = decodePredictionBatch(settlement.predictions ?? new Uint8Array())
  expect(Array.from(stored.eventIds)).toEqual([1n, 4n])
  expect(Array.from(stored.azimuth)).toEqual([1, 1.02])
  expect(settlement.predicted).toBe(2)
  expect(
    settlement.deadLetters.map(({ eventId, code, attempts, events }) => [eventId, code, attempts, events]),
  ).toEqual([
    [2n, 'charge_not_finite', 2, 1],
    [3n, 'model_failed', 2, 1],
    [5n, 'model_output_invalid', 2, 1],
  ])
  for (const letter of settlement.deadLetters) {
    expect(Array.from(decodeEventBatch(letter.payload).eventIds)).toEqual([letter.eventId])
  }
})

it('toFate() stores no predictions where every event became a dead letter', () => {
  const { delivery, batch } = deliver(1)
  const inference = answer(1)
  inference.azimuth[0] = Number.NaN
  const { settlement } = toFate({ delivery, batch, faults: [], asked: batch, inference, consumer: 'C1' })
  expect(settlement).toMatchObject({ predictions: undefined, predicted: 0 })
  expect(settlement.deadLetters).toHaveLength(1)
})

it('toFate() of a batch without truth has none', () => {
  const { delivery, batch } = deliver(2, false)
  const { predictions } = toFate({
    delivery,
    batch,
    faults: [],
    asked: batch,
    inference: answer(2),
    consumer: 'C1',
  })
  expect(predictions.truth).toBeUndefined()
})

it('toFate() counts the pulses of a view', () => {
  const { delivery, batch } = deliver(4)
  const asked = sliceEvents(batch, 2, 4)
  const { predictions } = toFate({
    delivery,
    batch: asked,
    faults: [],
    asked,
    inference: answer(2),
    consumer: 'C1',
  })
  expect(Array.from(predictions.pulses)).toEqual([6, 6])
})

it('batchDeadLetter() keeps the bytes as they came and stands for at least one event', () => {
  const { delivery } = deliver()
  const reason = { code: 'wire_unreadable', message: 'x'.repeat(5_000) } as const
  const letter = batchDeadLetter({ ...delivery, events: 0 }, reason)
  expect(letter).toMatchObject({ eventId: undefined, events: 1, code: 'wire_unreadable' })
  expect(letter.payload).toBe(delivery.payload)
  expect(letter.message.length).toBeLessThan(1_100)
})

it.each([
  { events: 1, sizes: [1] },
  { events: 3, sizes: [1, 1, 1] },
  { events: 20, sizes: [1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2] },
  { events: 256, sizes: Array(16).fill(16) },
])('toParts() of $events events loses and doubles none', ({ events, sizes }) => {
  const { delivery, batch } = deliver(events)
  const parts = toParts(delivery, batch)
  expect(parts.map((part) => part.events)).toEqual(sizes)
  const ids = parts.flatMap((part) => Array.from(decodeEventBatch(part.payload).eventIds))
  expect(ids).toEqual(Array.from(batch.eventIds))
  expect(new Set(parts.map((part) => part.batchId)).size).toBe(parts.length)
  expect(parts.map((part) => part.emittedAtMs)).toEqual(parts.map(() => 123))
})

it.each([
  ['run/17', 0],
  ['run~x/17', 0],
  ['run/17~3', 1],
  ['run/17~3~15~0', 3],
])('timesPutBack() of %s is %i', (batchId, times) => {
  expect(timesPutBack(batchId)).toBe(times)
})
