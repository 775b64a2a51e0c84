import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { fakeLocalModel } from '../../test/support/fake-local-model.ts'
import { makeEvents } from '../../test/support/plain-events.ts'
import { PrivateModel } from '../../test/support/private-model.ts'
import { until } from '../../test/support/until.ts'
import { eventCount } from '../event/event-batch.ts'
import { Challenger, challengerMetrics } from './challenger.ts'

function open(model: ReturnType<typeof fakeLocalModel>) {
  const registry = new Registry()
  const champion = fakeLocalModel({ azimuth: 1 })
  const shadowed = new Challenger(model, challengerMetrics(registry)).shadow(champion)
  const counted = async (outcome: string) => {
    const text = await registry.metrics()
    return Number(new RegExp(`challenger_events_total{outcome="${outcome}"} (\\d+)`).exec(text)?.[1])
  }
  return { shadowed, counted, registry }
}

describe('Challenger', () => {
  it('compares its answers event by event, and the champion’s are the answer', async () => {
    const { shadowed, counted, registry } = open(fakeLocalModel({ azimuth: 1.5, failsOn: (id) => id === 4n }))
    const { azimuth, model } = await shadowed.infer(makeEvents(10, 1))
    expect([...new Set(azimuth)]).toEqual([1])
    expect(model).toEqual({ name: 'fake', version: '1' })
    await until(async () => (await counted('compared')) === 9)
    expect(await counted('failed')).toBe(1)
    const text = await registry.metrics()
    // Both zeniths are 1 rad: cos(angle) = cos²1 + sin²1 cos 0.5.
    const angle = Math.acos(Math.cos(1) ** 2 + Math.sin(1) ** 2 * Math.cos(0.5))
    const sum = Number(/challenger_angle_radians_sum (\S+)/.exec(text)?.[1])
    expect(sum).toBeCloseTo(9 * angle, 9)
    expect(text).toContain('nustream_server_challenger_info{model="fake",version="1.5"} 1')
  })

  it('a challenger that never answers delays no request; events without room are counted and dropped', async () => {
    const hung = fakeLocalModel({ before: () => new Promise(() => {}) })
    const { shadowed, counted } = open(hung)
    for (let i = 0; i < 100; i++) await shadowed.infer(makeEvents(100, 1))
    expect(hung.underWay()).toBe(1)
    expect(await counted('dropped')).toBe(8_000)
  })

  it('asks for many small requests together, and compares each event with its own answer', async () => {
    const gate = Promise.withResolvers<void>()
    const sizes: number[] = []
    const challenger = fakeLocalModel({
      azimuth: 1.5,
      async before(batch) {
        sizes.push(eventCount(batch))
        await gate.promise
      },
      failsOn: (id) => id === 30n,
    })
    const { shadowed, counted } = open(challenger)
    for (let i = 1; i <= 300; i++) await shadowed.infer(makeEvents(1, i))
    gate.resolve()
    await until(async () => (await counted('compared')) + (await counted('failed')) === 300)
    expect(sizes).toEqual([1, 256, 43])
  })

  it('one that throws is counted, and asked again', async () => {
    let calls = 0
    const { shadowed, counted } = open(
      fakeLocalModel({
        before() {
          calls++
          throw new Error('no')
        },
      }),
    )
    await shadowed.infer(makeEvents(10, 1))
    await shadowed.infer(makeEvents(10, 1))
    await until(async () => (await counted('failed')) === 20)
    expect(calls).toBe(2)
  })

  it('leaves methods and private fields of a champion that is a class instance as they are', async () => {
    const champion = new PrivateModel()
    const shadowed = new Challenger(fakeLocalModel(), challengerMetrics(new Registry())).shadow(champion)
    await shadowed.ready()
    expect((await shadowed.infer(makeEvents(2, 1))).model).toEqual({ name: 'private', version: '1' })
    expect(shadowed.model).toEqual({ name: 'private', version: '1' })
    expect(await shadowed.runTensors({})).toEqual({})
    await shadowed[Symbol.asyncDispose]()
    expect(champion.calls).toEqual(['ready', 'infer', 'runTensors', 'dispose'])
  })
})
