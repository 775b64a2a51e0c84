import { describe, expect, it } from 'vitest'
import { describeDelivery } from './delivery.ts'
import { describeKeeping } from './keeping.ts'
import { describePublishing } from './publishing.ts'
import { describeSampling } from './sampling.ts'
import { describeSettling } from './settling.ts'
import { type OpenBackend, SOON } from './support.ts'

/** The contract of the broker, as tests of one backend. */
export function describeBroker(name: string, openBackend: OpenBackend): void {
  describe(name, () => {
    describePublishing(openBackend)
    describeDelivery(openBackend)
    describeSettling(openBackend)
    describeKeeping(openBackend)
    describeSampling(openBackend)

    it('close() is idempotent, and a closed broker throws that it is unavailable', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      await broker.ping()
      await broker.close()
      await broker.close()
      await expect(broker.ping()).rejects.toMatchObject({ code: 'broker_unreachable' })
      await expect(broker.totals()).rejects.toMatchObject({ code: 'broker_unreachable' })
    })

    it('streamId() is the same for every process of a stream, and different for another stream', async (t) => {
      const backend = await openBackend(t)
      const id = await (await backend.open()).streamId()
      expect(id).toMatch(/^[0-9a-f]{8}$/)
      expect(await (await backend.open()).streamId()).toBe(id)
      await backend.restart()
      expect(await (await backend.open()).streamId()).toBe(id)
      expect(await (await (await openBackend(t)).open()).streamId()).not.toBe(id)
    })

    it('beat() keeps a process alive until it misses its beats, and its name after that', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      await broker.beat({ role: 'consumer', instance: 'c1', everyMs: 60_000, url: 'http://127.0.0.1:9464' })
      await broker.beat({ role: 'emitter', instance: 'e1', everyMs: 50, url: undefined })
      const [consumer, emitter] = await broker.heartbeats()
      expect(consumer).toMatchObject({
        role: 'consumer',
        instance: 'c1',
        alive: true,
        url: 'http://127.0.0.1:9464',
      })
      expect(Math.abs(Date.now() - consumer.beatAtMs)).toBeLessThan(10_000)
      expect(emitter).toMatchObject({ role: 'emitter', instance: 'e1', everyMs: 50 })
      await expect
        .poll(async () => (await broker.heartbeats()).map((beat) => beat.alive), SOON)
        .toEqual([true, false])
      await broker.beat({ role: 'emitter', instance: 'e1', everyMs: 60_000, url: undefined })
      expect((await broker.heartbeats()).map((beat) => beat.alive)).toEqual([true, true])
    })

    it('leave() removes only its own name, at once; the process may return', async (t) => {
      const backend = await openBackend(t)
      const broker = await backend.open()
      const beat = (instance: string) =>
        broker.beat({ role: 'emitter', instance, everyMs: 60_000, url: undefined })
      const names = async () => (await reader.heartbeats()).map((known) => known.instance)
      const reader = await backend.open()
      await beat('e1')
      await beat('e2')
      await broker.leave({ role: 'emitter', instance: 'e1' })
      expect(await names()).toEqual(['e2'])
      await broker.leave({ role: 'emitter', instance: 'e1' })
      await broker.leave({ role: 'consumer', instance: 'e2' })
      expect(await names()).toEqual(['e2'])
      await beat('e1')
      expect(await names()).toEqual(['e1', 'e2'])
    })
  })
}
