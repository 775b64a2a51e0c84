import { describe, expect, it } from 'vitest'
import { makeEvents, toMessage } from '../../test/support/plain-events.ts'
import type { Delivery } from '../broker/contract.ts'
import type { EventBatch } from '../event/event-batch.ts'
import { decodeEventBatch } from '../event/wire.ts'
import { batchDeadLetter, eventDeadLetters, timesPutBack, toParts } from './dead-letters.ts'

function deliver(events: number): { delivery: Delivery; batch: EventBatch } {
  const batch = makeEvents(events)
  return {
    batch,
    delivery: { ...toMessage('b1', batch), emittedAtMs: 123, deliveryId: 'd1', partition: 0, attempt: 2 },
  }
}

function faultsOf(events: number) {
  return Array.from({ length: events }, (_, index) => ({
    index,
    code: index % 2 === 0 ? ('model_failed' as const) : ('charge_not_finite' as const),
    message: `fault ${index}`,
  }))
}

describe('eventDeadLetters()', () => {
  it('makes a letter of each event alone, up to 64 of a batch', () => {
    const { delivery, batch } = deliver(100)
    const letters = eventDeadLetters(delivery, batch, faultsOf(64))
    expect(letters).toHaveLength(64)
    for (const [i, letter] of letters.entries()) {
      expect(letter).toMatchObject({ eventId: BigInt(i + 1), attempts: 2, events: 1, message: `fault ${i}` })
      expect(Array.from(decodeEventBatch(letter.payload).eventIds)).toEqual([BigInt(i + 1)])
    }
  })

  it('makes one letter for each code of 65 events or more', () => {
    const { delivery, batch } = deliver(100)
    const letters = eventDeadLetters(delivery, batch, faultsOf(65))
    expect(letters.map(({ code, events, eventId, message }) => [code, events, eventId, message])).toEqual([
      ['model_failed', 33, undefined, '33 events of the batch; the first: fault 0'],
      ['charge_not_finite', 32, undefined, '32 events of the batch; the first: fault 1'],
    ])
    const ids = letters.flatMap(({ payload }) => Array.from(decodeEventBatch(payload).eventIds, Number))
    expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 65 }, (_, i) => i + 1))
  })
})

it('batchDeadLetter() keeps the bytes as they came and stands for at least one event', () => {
  const { delivery } = deliver(4)
  const reason = { code: 'wire_unreadable', message: 'x'.repeat(5_000) } as const
  const letter = batchDeadLetter({ ...delivery, events: 0 }, reason)
  expect(letter).toMatchObject({ eventId: undefined, events: 1, code: 'wire_unreadable' })
  expect(letter.payload).toBe(delivery.payload)
  expect(letter.message.length).toBeLessThan(1_100)
  expect(batchDeadLetter(delivery, reason).events).toBe(4)
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
