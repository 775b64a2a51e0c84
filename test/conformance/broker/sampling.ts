import { describe, expect, it } from 'vitest'
import type { BatchMessage, Broker } from '../../../src/broker/contract.ts'
import { batch, ids, type OpenBackend, SOON, settleAll, storedNow, take, text } from './support.ts'

/** Samples until the test ends, so that a test can ask what was seen so far. */
function sampleAll(broker: Broker, everyMs: number, t: { readonly signal: AbortSignal }): BatchMessage[] {
  const seen: BatchMessage[] = []
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(20_000)])
  void (async () => {
    for await (const message of broker.samples({ everyMs, signal })) seen.push(message)
  })()
  return seen
}

export function describeSampling(openBackend: OpenBackend): void {
  describe('samples()', () => {
    it('shows the newest batch that waits, then what is published next', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ partitions: 1 })
      for (let i = 0; i < 5; i++) await broker.publish(batch(`b${i}`))
      const seen = sampleAll(await backend.open({ partitions: 1 }), 1, t)
      await expect.poll(() => ids(seen), SOON).toEqual(['b4'])
      expect(seen[0]).toMatchObject({ events: 4, emittedAtMs: 1_700_000_000_000 })
      expect(text(seen[0].payload)).toBe('events of b4')
      await broker.publish(batch('b5'))
      await expect.poll(() => ids(seen), SOON).toEqual(['b4', 'b5'])
    })

    it('sees batches although they are settled at once', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      const seen = sampleAll(broker, 1, t)
      for (let i = 0; i < 400 && seen.length < 5; i++) {
        await broker.publish(batch(`b${i}`))
        await new Promise((resolve) => setImmediate(resolve))
        await settleAll(broker, 1)
      }
      expect(seen.length).toBeGreaterThanOrEqual(5)
      expect(new Set(ids(seen)).size).toBe(seen.length)
    })

    it('shows at most one batch per pause', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ partitions: 1 })
      const seen = sampleAll(broker, 60_000, t)
      for (let i = 0; i < 40; i++) await broker.publish(batch(`b${i}`))
      await expect.poll(() => seen.length, SOON).toBe(1)
      expect((await take(broker, 40)).length).toBe(40)
      expect(seen.length).toBe(1)
    })

    it('leases nothing and delays no trimming', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ upkeepMs: 10, predictionsMax: 3 })
      const seen = sampleAll(await backend.open(), 1, t)
      for (let i = 0; i < 30; i++) await broker.publish(batch(`b${i}`))
      await expect.poll(() => seen.length, SOON).toBeGreaterThan(0)
      expect(await broker.backlog()).toMatchObject({ unreadBatches: 30, leasedBatches: 0 })
      const settled = await settleAll(broker, 30)
      expect(settled.length).toBe(30)
      await expect
        .poll(async () => (await storedNow(broker)).length, SOON)
        .toBeLessThanOrEqual(3 * broker.partitions)
      expect(await broker.backlog()).toMatchObject({ unreadBatches: 0, leasedBatches: 0, events: 0 })
    })

    it('ends when aborted and when closed', async (t) => {
      const broker = await (await openBackend(t)).open()
      const stop = new AbortController()
      const aborted = Array.fromAsync(broker.samples({ everyMs: 1, signal: stop.signal }))
      const closed = Array.fromAsync(broker.samples({ everyMs: 1, signal: new AbortController().signal }))
      stop.abort()
      expect(await aborted).toEqual([])
      await broker.close()
      expect(await closed).toEqual([])
    })
  })
}
