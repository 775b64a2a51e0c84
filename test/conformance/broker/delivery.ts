import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../../src/broker/contract.ts'
import { batch, ids, type OpenHome, predicted, SOON, settleAll, take, takeWithin } from './support.ts'

/** A consumer that dies: its loans are never renewed. */
const DEAD = { visibilityMs: 600, renewMs: 1_000_000_000 }
const ALIVE = { visibilityMs: 600 }

export function describeDelivery(openHome: OpenHome): void {
  describe('deliveries()', () => {
    it('waits for a batch that comes later', async (t) => {
      const home = await openHome(t)
      const broker = await home.open()
      const other = await home.open()
      const taken = take(broker, 2)
      await broker.publish(batch('b1'))
      await other.publish(batch('b2'))
      expect(ids(await taken).toSorted()).toEqual(['b1', 'b2'])
    })

    it('lends at most leasesMax, and goes on when one is settled', async (t) => {
      const broker = await (await openHome(t)).open()
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

    it('gives a loan that was given back at once to another, without counting the attempt', async (t) => {
      const broker = await (await openHome(t)).open()
      await broker.publish(batch('b1'))
      for (let i = 0; i < 3; i++) {
        const [delivery] = await take(broker, 1, { consumer: `c${i % 2}`, withinMs: 2_000 })
        expect(delivery.attempt).toBe(1)
        await broker.release(delivery)
      }
      expect((await broker.backlog()).events).toBe(4)
    })

    it('gives the loans of a dead consumer to the living, and counts the attempts over all of them', async (t) => {
      const home = await openHome(t)
      const dead = await home.open(DEAD)
      await dead.publish(batch('b1'))
      await dead.publish(batch('b2'))
      for (const [i, consumer] of ['c1', 'c2', 'c3'].entries()) {
        const taken = await take(await home.open(DEAD), 2, { consumer, withinMs: 5_000 })
        expect(ids(taken).toSorted()).toEqual(['b1', 'b2'])
        expect(taken.map((delivery) => delivery.attempt)).toEqual([i + 1, i + 1])
      }
    })

    it('keeps the loans of a consumer that is slow but alive', async (t) => {
      const home = await openHome(t)
      const slow = await home.open(ALIVE)
      await slow.publish(batch('b1'))
      const [delivery] = await take(slow, 1, { consumer: 'slow' })
      expect(await takeWithin(await home.open(ALIVE), 1_500, 'eager')).toEqual([])
      expect(await slow.settle(delivery, predicted(delivery))).toBe('settled')
    })

    it('gives a restarted consumer its own loans at once', async (t) => {
      const home = await openHome(t)
      const former = await home.open()
      for (const id of ['b1', 'b2', 'b3']) await former.publish(batch(id))
      await take(former, 2, { consumer: 'c1', leasesMax: 2 })
      const taken = await take(await home.open(), 3, { consumer: 'c1', withinMs: 5_000 })
      expect(ids(taken).toSorted()).toEqual(['b1', 'b2', 'b3'])
      expect(taken.map((delivery) => delivery.attempt).toSorted()).toEqual([1, 2, 2])
    })

    it('shares the batches between two consumers, each once', async (t) => {
      const home = await openHome(t)
      const [one, two] = [await home.open(), await home.open()]
      for (let i = 0; i < 40; i++) await one.publish(batch(`b${i}`))
      const [first, second] = await Promise.all([
        take(one, 20, { consumer: 'c1', leasesMax: 20 }),
        take(two, 20, { consumer: 'c2', leasesMax: 20 }),
      ])
      expect(new Set(ids([...first, ...second])).size).toBe(40)
    })

    it('ends when aborted, and what was not yet taken is free for others at once', async (t) => {
      const home = await openHome(t)
      const broker = await home.open()
      for (let i = 0; i < 10; i++) await broker.publish(batch(`b${i}`))
      const stop = new AbortController()
      const kept: Delivery[] = []
      for await (const delivery of broker.deliveries({ consumer: 'c1', leasesMax: 8, signal: stop.signal })) {
        kept.push(delivery)
        if (kept.length === 2) stop.abort()
      }
      expect(kept.length).toBe(2)
      const others = await take(await home.open(), 8, { consumer: 'c2', withinMs: 5_000 })
      expect(others.map((delivery) => delivery.attempt)).toEqual(Array(8).fill(1))
      expect(new Set(ids([...kept, ...others])).size).toBe(10)
    })

    it('ends at close, which gives back what is on loan', async (t) => {
      const home = await openHome(t)
      const broker = await home.open()
      for (let i = 0; i < 6; i++) await broker.publish(batch(`b${i}`))
      const waiting = takeWithin(broker, 60_000, 'c1')
      await expect.poll(async () => (await broker.backlog()).leasedBatches, SOON).toBe(6)
      await broker.close()
      expect((await waiting).length).toBe(6)
      expect((await take(await home.open(), 6, { consumer: 'c2', withinMs: 5_000 })).length).toBe(6)
    })

    it('does not give back a loan that has gone to another', async (t) => {
      const home = await openHome(t)
      const dead = await home.open(DEAD)
      await dead.publish(batch('b1'))
      const [lost] = await take(dead, 1, { consumer: 'dead' })
      const heir = await home.open(ALIVE)
      await take(heir, 1, { consumer: 'heir', withinMs: 5_000 })
      await dead.release(lost)
      expect(await takeWithin(await home.open(ALIVE), 150, 'third')).toEqual([])
    })

    it('neither releases nor renews a former lease of the same consumer', async (t) => {
      const home = await openHome(t)
      const former = await home.open({ visibilityMs: 600, renewMs: 50 })
      for (const id of ['b1', 'b2']) await former.publish(batch(id))
      const [first] = await take(former, 2, { consumer: 'c1' })
      const again = await take(await home.open(DEAD), 2, { consumer: 'c1', withinMs: 5_000 })
      expect(again.map((delivery) => delivery.attempt)).toEqual([2, 2])
      await former.release(first)
      expect(await former.backlog()).toMatchObject({ unreadBatches: 0, leasedBatches: 2 })
      // The process that holds the leases now never renews them, so they end although the former one lives.
      const later = await take(await home.open(ALIVE), 2, { consumer: 'c2', withinMs: 5_000 })
      expect(later.map((delivery) => delivery.attempt)).toEqual([3, 3])
    })

    it('goes on after the home was killed and came back, and nothing is lost', async (t) => {
      const home = await openHome(t)
      const broker = await home.open({ ...ALIVE, retryMaxMs: 100 })
      for (let i = 0; i < 4; i++) await broker.publish(batch(`b${i}`))
      const settled = settleAll(broker, 8, { withinMs: 20_000 })
      await home.restart()
      for (let i = 4; i < 8; i++) await broker.publish(batch(`b${i}`))
      expect(new Set(await settled).size).toBe(8)
      expect(await broker.totals()).toEqual({ emitted: 32, predicted: 32, deadLettered: 0 })
    })
  })
}
