import { describe, expect, it } from 'vitest'
import {
  batch,
  bytes,
  deadLetter,
  ids,
  type OpenBackend,
  predicted,
  readStored,
  settleAll,
  storedNow,
  take,
  takeWithin,
  text,
} from './support.ts'

const DEAD = { visibilityMs: 600, renewMs: 1_000_000_000 }

export function describeSettling(openBackend: OpenBackend): void {
  describe('settle()', () => {
    it('stores predictions and dead letters and acknowledges, once', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open(DEAD)
      await broker.publish(batch('b1', 4))
      const [delivery] = await take(broker, 1)
      const letters = [deadLetter('b1', 3n)]
      const settlement = { predictions: bytes('three'), predicted: 3, deadLetters: letters }
      expect(await broker.settle(delivery, settlement)).toBe('settled')
      expect(await broker.settle(delivery, settlement)).toBe('repeat')
      const [stored, ...more] = await storedNow(broker)
      expect(more).toEqual([])
      expect(stored).toMatchObject({ batchId: 'b1', partition: delivery.partition })
      expect(text(stored.payload)).toBe('three')
      expect((await broker.deadLetters({ limit: 10 })).map(({ id, ...letter }) => letter)).toEqual(letters)
      expect(await broker.totals()).toEqual({ emitted: 4, predicted: 3, deadLettered: 1 })
      expect(await takeWithin(broker, 1_000, 'c2')).toEqual([])
    })

    it('stores one outcome when the lease went to another consumer and both settle', async (t) => {
      const backend = await openBackend(t)
      const [dead, heir] = [await backend.open(DEAD), await backend.open({ visibilityMs: 600 })]
      for (const id of ['b1', 'b2']) await dead.publish(batch(id))
      const lost = await take(dead, 2, { consumer: 'dead' })
      const held = await take(heir, 2, { consumer: 'heir', withinMs: 5_000 })
      const heldOf = (id: string) => held.filter((delivery) => delivery.batchId === id)
      const [b1, b2] = lost
      expect(await dead.settle(b1, predicted(b1))).toBe('settled')
      for (const same of heldOf(b1.batchId)) expect(await heir.settle(same, predicted(same))).toBe('repeat')
      for (const same of heldOf(b2.batchId)) expect(await heir.settle(same, predicted(same))).toBe('settled')
      expect(await dead.settle(b2, predicted(b2))).toBe('repeat')
      expect(ids(await storedNow(heir)).toSorted()).toEqual(['b1', 'b2'])
      expect(await heir.totals()).toEqual({ emitted: 8, predicted: 8, deadLettered: 0 })
      expect(await heir.backlog()).toMatchObject({ unreadBatches: 0, leasedBatches: 0, events: 0 })
    })

    it('stores one outcome for a batch that was published twice, and the totals add up', async (t) => {
      const broker = await (await openBackend(t)).open()
      for (let i = 0; i < 3; i++) await broker.publish(batch('b1'))
      const taken = await take(broker, 3)
      const results = []
      for (const delivery of taken) results.push(await broker.settle(delivery, predicted(delivery)))
      expect(results).toEqual(['settled', 'repeat', 'repeat'])
      expect(ids(await storedNow(broker))).toEqual(['b1'])
      expect(await broker.totals()).toEqual({ emitted: 4, predicted: 4, deadLettered: 0 })
      expect(await broker.backlog()).toMatchObject({ unreadBatches: 0, leasedBatches: 0, events: 0 })
    })

    it('corrects the totals when the producer did not say how many events there are', async (t) => {
      const broker = await (await openBackend(t)).open()
      await broker.publish(batch('b1', 0))
      const [delivery] = await take(broker, 1)
      await broker.settle(delivery, { predictions: bytes('six'), predicted: 6, deadLetters: [] })
      expect(await broker.totals()).toEqual({ emitted: 6, predicted: 6, deadLettered: 0 })
    })

    it('keeps what it stored when the backend is killed', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ retryMaxMs: 100 })
      for (let i = 0; i < 10; i++) await broker.publish(batch(`b${i}`))
      const settled = await settleAll(broker, 5, { leasesMax: 1 })
      await backend.restart()
      const later = await backend.open()
      expect(ids(await readStored(later, 5)).toSorted()).toEqual(settled.toSorted())
      await settleAll(later, 5, { consumer: 'c1', withinMs: 20_000 })
      expect(await later.totals()).toEqual({ emitted: 40, predicted: 40, deadLettered: 0 })
      expect(new Set(ids(await readStored(later, 10))).size).toBe(10)
    })
  })

  describe('split()', () => {
    it('replaces the delivery by its parts in one step, once', async (t) => {
      const broker = await (await openBackend(t)).open()
      await broker.publish(batch('b1', 4))
      const [whole] = await take(broker, 1)
      const parts = [batch('b1/0', 2), batch('b1/1', 2)]
      expect(await broker.split(whole, parts)).toBe('settled')
      expect(await broker.split(whole, parts)).toBe('repeat')
      expect(await broker.settle(whole, predicted(whole))).toBe('repeat')
      expect(await broker.totals()).toEqual({ emitted: 4, predicted: 0, deadLettered: 0 })
      expect(await broker.backlog()).toMatchObject({ events: 4 })
      const taken = await take(broker, 2)
      expect(ids(taken)).toEqual(['b1/0', 'b1/1'])
      expect(taken.map((delivery) => delivery.attempt)).toEqual([1, 1])
      expect(await takeWithin(broker, 100, 'c2')).toEqual([])
      for (const part of taken) expect(await broker.settle(part, predicted(part))).toBe('settled')
      expect(await broker.totals()).toEqual({ emitted: 4, predicted: 4, deadLettered: 0 })
    })

    it('counts what the producer had not counted', async (t) => {
      const broker = await (await openBackend(t)).open()
      await broker.publish(batch('b1', 0))
      const [whole] = await take(broker, 1)
      await broker.split(whole, [batch('b1/0', 2), batch('b1/1', 3)])
      await settleAll(broker, 2)
      expect(await broker.totals()).toEqual({ emitted: 5, predicted: 5, deadLettered: 0 })
    })
  })
}
