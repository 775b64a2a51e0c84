import { describe, expect, it } from 'vitest'
import type { Broker, StoredPredictions } from '../../../src/broker/contract.ts'
import {
  batch,
  deadLetter,
  ids,
  type OpenBackend,
  predicted,
  readStored,
  SOON,
  settleAll,
  storedNow,
  take,
  takeWithin,
} from './support.ts'

async function pass(broker: Broker, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) await broker.publish(batch(`b${i}`))
  await settleAll(broker, to - from)
}

function cursorsOf(stored: readonly StoredPredictions[]): Map<number, string> {
  return new Map(stored.map(({ partition, cursor }) => [partition, cursor]))
}

export function describeKeeping(openBackend: OpenBackend): void {
  describe('predictions()', () => {
    it('gives each reader everything, in the order of storing within a partition', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      for (let i = 0; i < 20; i++) await broker.publish(batch(`b${i}`))
      const settled = await settleAll(broker, 20, { leasesMax: 1 })
      for (const reader of [broker, await backend.open()]) {
        const seen = await readStored(reader, 20)
        for (let partition = 0; partition < broker.partitions; partition++) {
          const here = ids(seen.filter((stored) => stored.partition === partition))
          expect(here).toEqual(settled.filter((id) => here.includes(id)))
        }
        expect(ids(seen).toSorted()).toEqual(settled.toSorted())
      }
    })

    it('continues after a cursor, and waits for more', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      await pass(broker, 0, 10)
      const seen = await readStored(broker, 6)
      const rest = readStored(await backend.open(), 6, cursorsOf(seen))
      await pass(broker, 10, 12)
      expect(new Set(ids([...seen, ...(await rest)])).size).toBe(12)
    })

    it('can start at what is stored from now on', async (t) => {
      const broker = await (await openBackend(t)).open()
      await pass(broker, 0, 3)
      const stop = new AbortController()
      const seen: string[] = []
      const looking = (async () => {
        for await (const stored of broker.predictions({ live: true, signal: stop.signal }))
          seen.push(stored.batchId)
      })()
      // When a live reader has started cannot be seen, so batches are stored until it has read one.
      for (let i = 3; seen.length === 0 && i < 200; i++) await pass(broker, i, i + 1)
      stop.abort()
      await looking
      expect(seen.length).toBeGreaterThan(0)
      expect(seen).not.toContain('b0')
      expect(seen).not.toContain('b2')
    })

    it('can start a few batches before the newest one', async (t) => {
      const broker = await (await openBackend(t)).open({ partitions: 1 })
      await pass(broker, 0, 10)
      const look = async (last: number) =>
        ids(await Array.fromAsync(broker.predictions({ last, signal: AbortSignal.timeout(200) })))
      expect(await look(3)).toEqual(['b7', 'b8', 'b9'])
      expect((await look(50)).length).toBe(10)
    })

    it('ends when aborted and when closed', async (t) => {
      const broker = await (await openBackend(t)).open()
      const stop = new AbortController()
      const aborted = Array.fromAsync(broker.predictions({ signal: stop.signal }))
      const closed = Array.fromAsync(broker.predictions({ signal: new AbortController().signal }))
      stop.abort()
      expect(await aborted).toEqual([])
      await broker.close()
      expect(await closed).toEqual([])
    })
  })

  describe('trimming', () => {
    it('never deletes what is unread or leased', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ upkeepMs: 10, predictionsMax: 5 })
      for (let i = 0; i < 60; i++) await broker.publish(batch(`b${i}`))
      const onLoan = await take(broker, 10, { consumer: 'c0', leasesMax: 10 })
      await settleAll(broker, 30, { consumer: 'c1' })
      await expect
        .poll(async () => (await storedNow(broker)).length, SOON)
        .toBeLessThanOrEqual(5 * broker.partitions)
      // A consumer of the same name gets its own batches first, and then unread ones.
      const left = await take(await backend.open(), 30, { consumer: 'c0' })
      expect(left.length).toBe(30)
      expect(left.map((delivery) => delivery.payload.length).every((length) => length > 0)).toBe(true)
      expect(ids(left)).toEqual(expect.arrayContaining(ids(onLoan)))
    })

    it('keeps the newest predictions up to the bound, whatever readers without a hold do', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ upkeepMs: 10, predictionsMax: 5 })
      const idle = broker.predictions({ signal: t.signal })[Symbol.asyncIterator]()
      await pass(broker, 0, 1)
      await idle.next()
      await pass(broker, 1, 61)
      await expect.poll(async () => (await storedNow(broker)).length, SOON).toBe(5 * broker.partitions)
      expect(ids(await storedNow(broker))).toContain('b60')
    })

    it('deletes predictions in a consumer only, whatever the bounds of others are', async (t) => {
      const backend = await openBackend(t)
      const consumer = await backend.open({ upkeepMs: 10, predictionsMax: 20, partitions: 1 })
      const emitter = await backend.open({
        upkeepMs: 10,
        predictionsMax: 1,
        partitions: 1,
      })
      for (let i = 0; i < 30; i++) await emitter.publish(batch(`b${i}`))
      await settleAll(consumer, 30)
      await expect.poll(async () => (await storedNow(emitter)).length, SOON).toBe(20)
      await new Promise((resolve) => setTimeout(resolve, 200))
      expect((await storedNow(emitter)).length).toBe(20)
    })

    it('keeps what a live reader has not taken', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ upkeepMs: 10, predictionsMax: 2 })
      await broker.holdPredictions('archive', new Map())
      await pass(broker, 0, 30)
      const all = await readStored(broker, 30)
      const taken = all.slice(0, 9)
      await broker.holdPredictions('archive', cursorsOf(taken))
      const countOf = (stored: readonly StoredPredictions[], partition: number) =>
        stored.filter((one) => one.partition === partition).length
      const kept = Array.from({ length: broker.partitions }, (_, partition) =>
        Math.max(2, countOf(all, partition) - countOf(taken, partition)),
      )
      const keptNow = async () => {
        const now = await storedNow(broker)
        return kept.map((_, partition) => countOf(now, partition))
      }
      await expect.poll(keptNow, SOON).toEqual(kept)
      expect(ids(await storedNow(broker))).toEqual(expect.arrayContaining(ids(all.slice(9))))
    })

    it('is not delayed by a reader that has been idle for too long', async (t) => {
      const broker = await (await openBackend(t)).open({ upkeepMs: 10, predictionsMax: 2, idleMaxMs: 300 })
      await broker.holdPredictions('archive', new Map())
      await pass(broker, 0, 30)
      await expect.poll(async () => (await storedNow(broker)).length, SOON).toBe(2 * broker.partitions)
    })

    it('deletes the oldest dead letters in a consumer only, and keeps counting them', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ upkeepMs: 10, deadLettersMax: 5, partitions: 1 })
      await backend.open({ upkeepMs: 10, deadLettersMax: 1, partitions: 1 })
      for (let i = 1; i <= 20; i++) {
        const position = { run: 'r', sequence: i, resume: '', emitted: i, done: false }
        await broker.publish(undefined, position, [deadLetter(`b${i}`, BigInt(i))])
      }
      const kept = async () =>
        (await broker.deadLetters({ limit: 100 })).map(({ eventId }) => Number(eventId))
      await new Promise((resolve) => setTimeout(resolve, 200))
      expect(await kept()).toHaveLength(20)
      const consuming = takeWithin(broker, 2_000, 'c1')
      await expect.poll(kept, SOON).toEqual([20, 19, 18, 17, 16])
      await consuming
      expect(await kept()).toHaveLength(5)
      expect(await broker.totals()).toMatchObject({ emitted: 20, deadLettered: 20 })
    })

    it('remembers settled batches up to the bound', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open({ upkeepMs: 10, settledMax: 1 })
      await pass(broker, 0, 12)
      await expect.poll(async () => await broker.publish(batch('b0')), SOON).toBe('stored')
      const [again] = await take(broker, 1)
      expect(await broker.settle(again, predicted(again))).toBe('settled')
    })
  })
}
