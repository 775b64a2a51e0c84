import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../../src/broker/contract.ts'
import { batch, ids, type OpenBackend, predicted, SOON, settleAll, take, takeWithin } from './support.ts'

/** A consumer that has died: its leases are never renewed. */
const DEAD = { visibilityMs: 600, renewMs: 1_000_000_000 }
const ALIVE = { visibilityMs: 600 }

export function describeDelivery(openBackend: OpenBackend): void {
  describe('deliveries()', () => {
    it('waits for a batch that comes later', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      const other = await backend.open()
      const taken = take(broker, 2)
      await broker.publish(batch('b1'))
      await other.publish(batch('b2'))
      expect(ids(await taken).toSorted()).toEqual(['b1', 'b2'])
    })

    it('leases at most leasesMax batches, and continues when one is settled', async (t) => {
      const broker = await (await openBackend(t)).open()
      for (let i = 1; i <= 9; i++) await broker.publish(batch(`b${i}`))
      const taken: Delivery[] = []
      const stop = new AbortController()
      const reading = (async () => {
        const options = { consumer: 'c1', leasesMax: 2, signal: stop.signal }
        for await (const delivery of broker.deliveries(options)) taken.push(delivery)
      })()
      await expect.poll(() => taken.length, SOON).toBe(2)
      // Many round trips later it is still two.
      for (let i = 0; i < 20; i++) {
        expect(await broker.backlog()).toMatchObject({ unreadBatches: 7, leasedBatches: 2 })
      }
      await broker.settle(taken[0], predicted(taken[0]))
      await expect.poll(() => taken.length, SOON).toBe(3)
      stop.abort()
      await reading
    })

    it('gives a released batch to another consumer at once, without counting the attempt', async (t) => {
      const broker = await (await openBackend(t)).open()
      await broker.publish(batch('b1'))
      for (let i = 0; i < 3; i++) {
        const [delivery] = await take(broker, 1, { consumer: `c${i % 2}`, withinMs: 2_000 })
        expect(delivery.attempt).toBe(1)
        await broker.release(delivery)
      }
      expect((await broker.backlog()).events).toBe(4)
    })

    it('gives the batches of a dead consumer to others, and counts the attempts over all of them', async (t) => {
      const backend = await openBackend(t)
      const dead = await backend.open(DEAD)
      await dead.publish(batch('b1'))
      await dead.publish(batch('b2'))
      for (const [i, consumer] of ['c1', 'c2', 'c3'].entries()) {
        const taken = await take(await backend.open(DEAD), 2, { consumer, withinMs: 5_000 })
        expect(ids(taken).toSorted()).toEqual(['b1', 'b2'])
        expect(taken.map((delivery) => delivery.attempt)).toEqual([i + 1, i + 1])
      }
    })

    it('keeps the leases of a consumer that is slow but alive', async (t) => {
      const backend = await openBackend(t)
      const slow = await backend.open(ALIVE)
      await slow.publish(batch('b1'))
      const [delivery] = await take(slow, 1, { consumer: 'slow' })
      expect(await takeWithin(await backend.open(ALIVE), 1_500, 'eager')).toEqual([])
      expect(await slow.settle(delivery, predicted(delivery))).toBe('settled')
    })

    it('gives a restarted consumer its own batches at once', async (t) => {
      const backend = await openBackend(t)
      const former = await backend.open()
      for (const id of ['b1', 'b2', 'b3']) await former.publish(batch(id))
      await take(former, 2, { consumer: 'c1', leasesMax: 2 })
      const taken = await take(await backend.open(), 3, { consumer: 'c1', withinMs: 5_000 })
      expect(ids(taken).toSorted()).toEqual(['b1', 'b2', 'b3'])
      expect(taken.map((delivery) => delivery.attempt).toSorted()).toEqual([1, 2, 2])
    })

    it('shares the batches between two consumers, each once', async (t) => {
      const backend = await openBackend(t)
      const [one, two] = [await backend.open(), await backend.open()]
      for (let i = 0; i < 40; i++) await one.publish(batch(`b${i}`))
      const [first, second] = await Promise.all([
        take(one, 20, { consumer: 'c1', leasesMax: 20 }),
        take(two, 20, { consumer: 'c2', leasesMax: 20 }),
      ])
      expect(new Set(ids([...first, ...second])).size).toBe(40)
    })

    it('ends when aborted, and releases what was not yet taken', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      for (let i = 0; i < 10; i++) await broker.publish(batch(`b${i}`))
      const stop = new AbortController()
      const kept: Delivery[] = []
      for await (const delivery of broker.deliveries({ consumer: 'c1', leasesMax: 8, signal: stop.signal })) {
        kept.push(delivery)
        if (kept.length === 2) stop.abort()
      }
      expect(kept.length).toBe(2)
      const others = await take(await backend.open(), 8, { consumer: 'c2', withinMs: 5_000 })
      expect(others.map((delivery) => delivery.attempt)).toEqual(Array(8).fill(1))
      expect(new Set(ids([...kept, ...others])).size).toBe(10)
    })

    it('ends at close, which releases all leases', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      for (let i = 0; i < 6; i++) await broker.publish(batch(`b${i}`))
      const waiting = takeWithin(broker, 60_000, 'c1')
      await expect.poll(async () => (await broker.backlog()).leasedBatches, SOON).toBe(6)
      await broker.close()
      expect((await waiting).length).toBe(6)
      expect((await take(await backend.open(), 6, { consumer: 'c2', withinMs: 5_000 })).length).toBe(6)
    })

    it('does not release a batch that has gone to another consumer', async (t) => {
      const backend = await openBackend(t)
      const dead = await backend.open(DEAD)
      await dead.publish(batch('b1'))
      const [lost] = await take(dead, 1, { consumer: 'dead' })
      const heir = await backend.open(ALIVE)
      await take(heir, 1, { consumer: 'heir', withinMs: 5_000 })
      await dead.release(lost)
      expect(await takeWithin(await backend.open(ALIVE), 150, 'third')).toEqual([])
    })

    it('neither releases nor renews a former lease of the same consumer', async (t) => {
      const backend = await openBackend(t)
      const former = await backend.open({ visibilityMs: 600, renewMs: 50 })
      for (const id of ['b1', 'b2']) await former.publish(batch(id))
      const [first] = await take(former, 2, { consumer: 'c1' })
      const again = await take(await backend.open(DEAD), 2, { consumer: 'c1', withinMs: 5_000 })
      expect(again.map((delivery) => delivery.attempt)).toEqual([2, 2])
      await former.release(first)
      expect(await former.backlog()).toMatchObject({ unreadBatches: 0, leasedBatches: 2 })
      // The process that holds the leases now never renews them, so they end although the former one lives.
      const later = await take(await backend.open(ALIVE), 2, { consumer: 'c2', withinMs: 5_000 })
      expect(later.map((delivery) => delivery.attempt)).toEqual([3, 3])
    })

    it('continues after the backend was killed and started again, and nothing is lost', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ ...ALIVE, retryMaxMs: 100 })
      for (let i = 0; i < 4; i++) await broker.publish(batch(`b${i}`))
      const settled = settleAll(broker, 8, { withinMs: 20_000 })
      await backend.restart()
      for (let i = 4; i < 8; i++) await broker.publish(batch(`b${i}`))
      expect(new Set(await settled).size).toBe(8)
      expect(await broker.totals()).toEqual({ emitted: 32, predicted: 32, deadLettered: 0 })
    })
  })
}
