import { describe, expect, it } from 'vitest'
import { describeDelivery } from './delivery.ts'
import { describeFate } from './fate.ts'
import { describeKeeping } from './keeping.ts'
import { describePublishing } from './publishing.ts'
import { describeSampling } from './sampling.ts'
import { type OpenHome, SOON } from './support.ts'

/** The properties that every broker has, whatever keeps its batches. */
export function describeBroker(name: string, openHome: OpenHome): void {
  describe(name, () => {
    describePublishing(openHome)
    describeDelivery(openHome)
    describeFate(openHome)
    describeKeeping(openHome)
    describeSampling(openHome)

    it('close() is idempotent, and a closed broker says that it is unavailable', async (t) => {
      const home = await openHome(t)
      const broker = await home.open()
      await broker.ping()
      await broker.close()
      await broker.close()
      await expect(broker.ping()).rejects.toMatchObject({ code: 'broker_unreachable' })
      await expect(broker.totals()).rejects.toMatchObject({ code: 'broker_unreachable' })
    })

    it('streamId() is the same for every part of a stream, and another for another stream', async (t) => {
      const home = await openHome(t)
      const id = await (await home.open()).streamId()
      expect(id).toMatch(/^[0-9a-f]{8}$/)
      expect(await (await home.open()).streamId()).toBe(id)
      await home.restart()
      expect(await (await home.open()).streamId()).toBe(id)
      expect(await (await (await openHome(t)).open()).streamId()).not.toBe(id)
    })

    it('beat() keeps a part alive until it misses its beats, and its name after that', async (t) => {
      const home = await openHome(t)
      const broker = await home.open()
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

    it('leave() takes a name out at once, and no other; the part may come back', async (t) => {
      const home = await openHome(t)
      const broker = await home.open()
      const beat = (instance: string) =>
        broker.beat({ role: 'emitter', instance, everyMs: 60_000, url: undefined })
      const names = async () => (await onlooker.heartbeats()).map((known) => known.instance)
      const onlooker = await home.open()
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
