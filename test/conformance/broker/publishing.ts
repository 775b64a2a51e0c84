import { describe, expect, it } from 'vitest'
import type { RunPosition } from '../../../src/broker/contract.ts'
import { batch, deadLetter, ids, type OpenBackend, SOON, settleAll, take, text } from './support.ts'

function at(sequence: number, run = 'r1'): RunPosition {
  return { run, sequence, resume: `after ${sequence}`, emitted: sequence * 4, done: false }
}

export function describePublishing(openBackend: OpenBackend): void {
  describe('publish()', () => {
    it('stores a batch that is delivered unchanged', async (t) => {
      const broker = await (await openBackend(t)).open()
      const payload = crypto.getRandomValues(new Uint8Array(60_001))
      const message = { batchId: 'née/1 "x"', payload, events: 17, emittedAtMs: 1_712_345_678_901 }
      expect(await broker.publish(message)).toBe('stored')
      const [delivery] = await take(broker, 1)
      expect(delivery).toMatchObject({
        batchId: 'née/1 "x"',
        events: 17,
        emittedAtMs: 1_712_345_678_901,
        attempt: 1,
      })
      expect(Buffer.compare(delivery.payload, payload)).toBe(0)
      expect(delivery.partition).toBeLessThan(broker.partitions)
    })

    it('stores the position with the batch, and a later start finds it', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      expect(await broker.position('r1')).toBeUndefined()
      for (const sequence of [1, 2, 3, 4]) await broker.publish(batch(`b${sequence}`), at(sequence))
      await broker.publish(undefined, { ...at(5), done: true })
      await broker.publish(batch('other'), at(1, 'r2'))
      const later = await backend.open()
      expect(await later.position('r1')).toEqual({ ...at(5), done: true })
      expect(await later.position('r2')).toEqual(at(1, 'r2'))
    })

    it('recognises a step that was stored before, by this emitter or the one that it replaces', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      for (const sequence of [1, 2, 3]) await broker.publish(batch(`b${sequence}`), at(sequence))
      expect(await broker.publish(batch('b3'), at(3))).toBe('repeat')
      expect(await broker.publish(batch('b2'), at(2))).toBe('repeat')
      const successor = await backend.open()
      expect(await successor.publish(batch('b3'), at(3))).toBe('repeat')
      expect(await successor.publish(batch('b4'), at(4))).toBe('stored')
      expect((await successor.backlog()).unreadBatches).toBe(4)
      expect(await successor.totals()).toEqual({ emitted: 16, predicted: 0, deadLettered: 0 })
    })

    it('refuses two emitters of one run, and a gap', async (t) => {
      const backend = await openBackend(t)
      const [first, second] = [await backend.open(), await backend.open()]
      for (const sequence of [1, 2, 3]) await first.publish(batch(`b${sequence}`), at(sequence))
      await expect(second.publish(batch('other 3'), at(3))).rejects.toMatchObject({ code: 'run_taken' })
      for (const sequence of [4, 5, 6, 7]) await second.publish(batch(`b${sequence}`), at(sequence))
      await expect(first.publish(batch('b4'), at(4))).rejects.toMatchObject({ code: 'run_taken' })
      await expect(second.publish(batch('b9'), at(9))).rejects.toMatchObject({ code: 'run_taken' })
      expect((await second.backlog()).unreadBatches).toBe(7)
    })

    it('stores the dead letters of unreadable events in the same step', async (t) => {
      const broker = await (await openBackend(t)).open()
      await broker.publish(batch('b1', 3), at(1), [deadLetter('b1', 12n)])
      await broker.publish(batch('b1', 3), at(1), [deadLetter('b1', 12n)])
      await broker.publish(undefined, at(2), [deadLetter('b2', 13n), deadLetter('b2', 14n)])
      expect(await broker.totals()).toEqual({ emitted: 6, predicted: 0, deadLettered: 3 })
      expect((await broker.deadLetters({ limit: 10 })).map((letter) => letter.eventId).toSorted()).toEqual([
        12n,
        13n,
        14n,
      ])
    })

    it('without a position recognises a batch that was settled before', async (t) => {
      const broker = await (await openBackend(t)).open()
      expect(await broker.publish(batch('b1'))).toBe('stored')
      await settleAll(broker, 1)
      expect(await broker.publish(batch('b1'))).toBe('repeat')
      expect((await broker.backlog()).unreadBatches).toBe(0)
    })

    it('keeps the order within a partition', async (t) => {
      const broker = await (await openBackend(t)).open()
      for (let sequence = 1; sequence <= 30; sequence++)
        await broker.publish(batch(`${sequence}`), at(sequence))
      const taken = await take(broker, 30)
      for (let partition = 0; partition < broker.partitions; partition++) {
        const numbers = taken.filter((d) => d.partition === partition).map((d) => Number(d.batchId))
        const share = 30 / broker.partitions
        expect([Math.floor(share), Math.ceil(share)]).toContain(numbers.length)
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
      }
    })
  })

  describe('backlog()', () => {
    it('counts unread and leased batches, and how long the oldest waits', async (t) => {
      const broker = await (await openBackend(t)).open()
      expect(await broker.backlog()).toEqual({
        unreadBatches: 0,
        leasedBatches: 0,
        events: 0,
        oldestAgeMs: 0,
      })
      for (const id of ['b1', 'b2', 'b3']) await broker.publish(batch(id, 5))
      const [delivery] = await take(broker, 1, { leasesMax: 1 })
      expect(await broker.backlog()).toMatchObject({ unreadBatches: 2, leasedBatches: 1, events: 15 })
      await expect.poll(async () => (await broker.backlog()).oldestAgeMs, SOON).toBeGreaterThan(20)
      await broker.settle(delivery, { predictions: undefined, predicted: 5, deadLetters: [] })
      expect(await broker.backlog()).toMatchObject({ unreadBatches: 2, leasedBatches: 0, events: 10 })
      await settleAll(broker, 2)
      expect(await broker.backlog()).toEqual({
        unreadBatches: 0,
        leasedBatches: 0,
        events: 0,
        oldestAgeMs: 0,
      })
    })
  })

  describe('dead letters', () => {
    it('are listed newest first, shown, replayed under a new batch id, and dropped', async (t) => {
      const broker = await (await openBackend(t)).open()
      for (const [i, id] of ['b1', 'b2', 'b3'].entries()) {
        await broker.publish(undefined, at(i + 1), [{ ...deadLetter(id, BigInt(i)), diedAtMs: 1_000 + i }])
      }
      const [newest, middle, oldest] = await broker.deadLetters({ limit: 10 })
      expect(ids([newest, middle, oldest])).toEqual(['b3', 'b2', 'b1'])
      expect(ids(await broker.deadLetters({ limit: 1 }))).toEqual(['b3'])
      expect(await broker.deadLetter(middle.id)).toEqual(middle)
      expect(middle).toMatchObject({
        eventId: 1n,
        code: 'charge_not_finite',
        attempts: 1,
        events: 1,
        diedAtMs: 1_001,
      })
      expect(text(middle.payload)).toBe('event 1')

      expect(await broker.replayDeadLetter(middle.id)).toBe(true)
      expect(await broker.replayDeadLetter(middle.id)).toBe(false)
      expect(await broker.deadLetter(middle.id)).toBeUndefined()
      expect(await broker.totals()).toEqual({ emitted: 3, predicted: 0, deadLettered: 2 })
      const [replayed] = await take(broker, 1)
      expect(replayed.batchId).not.toBe('b2')
      expect(text(replayed.payload)).toBe('event 1')
      await broker.settle(replayed, { predictions: undefined, predicted: 1, deadLetters: [] })
      expect(await broker.totals()).toEqual({ emitted: 3, predicted: 1, deadLettered: 2 })

      expect(await broker.dropDeadLetter(oldest.id)).toBe(true)
      expect(await broker.dropDeadLetter(oldest.id)).toBe(false)
      expect(ids(await broker.deadLetters({ limit: 10 }))).toEqual(['b3'])
      expect((await broker.totals()).deadLettered).toBe(2)
      expect(await broker.deadLetter('no such id')).toBeUndefined()
    })

    it('keep an event id that is absent, or beyond 2^53', async (t) => {
      const broker = await (await openBackend(t)).open()
      await broker.publish(undefined, at(1), [
        deadLetter('whole', undefined, 256),
        deadLetter('big', 2n ** 62n),
      ])
      const found = await broker.deadLetters({ limit: 10 })
      expect(found.map((letter) => letter.eventId).toSorted()).toEqual([2n ** 62n, undefined])
      expect((await broker.totals()).deadLettered).toBe(257)
    })
  })
}
