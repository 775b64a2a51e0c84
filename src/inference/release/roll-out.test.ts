import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type FakeLocalModel, fakeLocalModel } from '../../../test/support/fake-local-model.ts'
import { collectLog } from '../../../test/support/log-lines.ts'
import { makeEvents } from '../../../test/support/plain-events.ts'
import { until } from '../../../test/support/until.ts'
import { UnavailableError, UsageError } from '../../errors.ts'
import { HotModel } from './hot-model.ts'
import { GATE_DEFAULTS, type GateLimits } from './quality-gate.ts'
import type { ModelRelease, ModelSource } from './roll-out.ts'
import { RollOut, rollOutMetrics } from './roll-out.ts'

type World = {
  offers: number
  good: number | undefined
  isAway: boolean
  away?: Error
  models: Map<number, FakeLocalModel>
}

const release = (version: number): ModelRelease => ({ name: 'm', version: `${version}`, key: `${version}` })
const away = () => new UnavailableError('mlflow_unreachable', 'MLflow is away')

function sourceOf(world: World): ModelSource {
  return {
    spec: 'models:/m@champion',
    changes: true,
    async newest() {
      if (world.away) throw world.away
      if (world.isAway) throw away()
      return release(world.offers)
    },
    lastGood: async () => (world.good === undefined ? undefined : release(world.good)),
    fetch: async ({ version }) => version,
    async markGood({ version }) {
      world.good = Number(version)
    },
  }
}

async function start(
  given: Partial<World>,
  { probationMs = 50, gate }: { probationMs?: number; gate?: GateLimits } = {},
) {
  const world: World = { offers: 1, good: undefined, isAway: false, models: new Map(), ...given }
  const { log, lines } = collectLog()
  const registry = new Registry()
  const rollOut = await RollOut.open({
    source: sourceOf(world),
    async open(folder) {
      const model = world.models.get(Number(folder)) ?? fakeLocalModel({ azimuth: Number(folder) })
      if (Number(folder) === 66) throw new UsageError('model_parity_failed', 'parity.json: 1 rad apart')
      world.models.set(Number(folder), model)
      return model
    },
    pollMs: 5,
    probationMs,
    gate,
    metrics: rollOutMetrics(registry)('model'),
    log,
  })
  onTestFinished(() => rollOut[Symbol.asyncDispose]())
  const hot = new HotModel(rollOut.model)
  rollOut.follow((next) => hot.swap(next))
  const ask = async () => (await hot.infer(makeEvents(10, 1))).azimuth[0]
  const metric = async (text: string) => (await registry.metrics()).includes(text)
  return { world, rollOut, hot, ask, lines, metric }
}

describe('RollOut', () => {
  it('a new release takes over, and the previous one is disposed of once it is unused', async () => {
    const { world, ask, hot, metric } = await start({})
    expect(await ask()).toBe(1)
    world.offers = 2
    await until(async () => (await ask()) === 2)
    expect(hot.model).toEqual({ name: 'm', version: '2' })
    await until(() => world.models.get(1)?.isDisposed())
    await until(() => world.good === 2)
    expect(await metric('nustream_model_swaps_total{slot="model",outcome="swapped"} 1')).toBe(true)
  })

  it('what is under way at the swap is finished by the model that it began with', async () => {
    const gate = Promise.withResolvers<void>()
    let isSlow = false
    const slow = fakeLocalModel({ azimuth: 1, before: () => (isSlow ? gate.promise : undefined) })
    const { world, ask, hot } = await start({ models: new Map([[1, slow]]) })
    isSlow = true
    const asked = ask()
    world.offers = 2
    await until(() => hot.model.version === '2')
    expect(await ask()).toBe(2)
    const since = performance.now()
    await until(() => performance.now() - since > 200) // longer than the probation
    expect(slow.isDisposed()).toBe(false)
    gate.resolve()
    expect(await asked).toBe(1)
    await until(() => slow.isDisposed())
  })

  it('a release that fails its proof is refused, said, and not tried again', async () => {
    const { world, ask, rollOut, lines, metric } = await start({})
    world.offers = 66
    await until(() => rollOut.status.refused)
    expect(rollOut.status).toMatchObject({ release: 'm 1', refused: 'm 66: parity.json: 1 rad apart' })
    expect(await ask()).toBe(1)
    expect(await metric('nustream_model_release_refused{slot="model"} 1')).toBe(true)
    world.offers = 1
    await until(() => !rollOut.status.refused)
    expect(lines.filter((line) => line.includes('is refused'))).toHaveLength(1)
  })

  it('a release that fails on events that the one before answered never serves', async () => {
    const { world, ask, rollOut } = await start({
      models: new Map([[2, fakeLocalModel({ azimuth: 2, failsOn: (id) => id === 3n || id > 4n })]]),
    })
    await ask()
    world.offers = 2
    await until(() => rollOut.status.refused)
    expect(rollOut.status.refused).toMatch(/m 2: fake 2 fails on 7 of 10 events that a model can answer: NaN/)
    expect(await ask()).toBe(1)
    expect(world.models.get(2)?.isDisposed()).toBe(true)
  })

  it('a release that begins to fail after the swap is taken back, and no request is lost to it', async () => {
    let isBroken = false
    const fragile = fakeLocalModel({
      azimuth: 2,
      before() {
        if (isBroken) throw new Error('out of memory')
      },
    })
    const { world, ask, rollOut, metric } = await start(
      { models: new Map([[2, fragile]]) },
      { probationMs: 60_000 },
    )
    world.offers = 2
    await until(async () => (await ask()) === 2)
    isBroken = true
    for (let i = 0; i < 3; i++) expect(await ask()).toBe(1)
    await until(() => rollOut.status.refused)
    expect(rollOut.status.refused).toContain(
      'it failed on 3 batches that the one before could answer: out of memory',
    )
    expect(await metric('nustream_model_swaps_total{slot="model",outcome="rolled_back"} 1')).toBe(true)
    expect(await ask()).toBe(1)
    expect(world.good).toBe(1)
  })

  it('a release that answers, but worse than the one before, is taken back, counted and said', async () => {
    const { world, ask, rollOut, lines, metric } = await start(
      { models: new Map([[2, fakeLocalModel({ azimuth: 2, zenith: 2.9 })]]) },
      { probationMs: 60_000, gate: GATE_DEFAULTS },
    )
    world.offers = 2
    await until(async () => {
      await ask()
      return rollOut.status.refused
    })
    expect(rollOut.status).toMatchObject({
      release: 'm 1',
      refused: expect.stringMatching(
        /m 2: it answers worse than the one before: on 2\d\d events that both answered, the median angle/,
      ),
    })
    expect(await ask()).toBe(1)
    expect(await metric('nustream_model_gate_failures_total{slot="model",check="angle"} 1')).toBe(true)
    expect(await metric('nustream_model_gate_value{slot="model",check="angle"} 1.9')).toBe(true)
    expect(await metric('nustream_model_swaps_total{slot="model",outcome="rolled_back"} 1')).toBe(true)
    expect(lines.join()).toContain('a release of the model is taken back')
  })

  it('a release withdrawn during its probation is replaced at once by the previous one, which was still loaded', async () => {
    const { world, ask, rollOut, lines, metric } = await start({}, { probationMs: 60_000 })
    const first = world.models.get(1)
    world.offers = 2
    await until(async () => (await ask()) === 2)
    world.isAway = true
    await until(() => rollOut.status.away)
    expect(await ask()).toBe(2)
    Object.assign(world, { isAway: false, offers: 1 })
    await until(async () => (await ask()) === 1)
    await until(() => world.models.get(2)?.isDisposed())
    expect(first?.isDisposed()).toBe(false)
    expect(rollOut.status).toEqual({ release: 'm 1', away: undefined, refused: undefined })
    expect(world.good).toBe(1)
    expect(lines.filter((line) => line.includes('loading a new release'))).toHaveLength(1)
    expect(await metric('nustream_model_swaps_total{slot="model",outcome="swapped"} 2')).toBe(true)
    world.models.delete(2)
    world.offers = 2
    await until(async () => (await ask()) === 2)
  })

  it('the source is asked once more when the probation ends, before the model before is let go', async () => {
    const { world, ask, lines } = await start({}, { probationMs: 0 })
    let asked = 0
    Object.defineProperty(world, 'offers', { get: () => (++asked === 1 ? 2 : 1) })
    await until(() => asked > 3)
    expect(await ask()).toBe(1)
    expect(world.models.get(1)?.isDisposed()).toBe(false)
    expect(world.models.get(2)?.isDisposed()).toBe(true)
    expect(lines.filter((line) => line.includes('loading a new release'))).toHaveLength(1)
  })

  it('while the source is unreachable the model stays, and that is reported', async () => {
    const { world, ask, rollOut, metric } = await start({})
    world.isAway = true
    await until(() => rollOut.status.away)
    expect(await ask()).toBe(1)
    expect(await metric('nustream_model_registry_up{slot="model"} 0')).toBe(true)
    Object.assign(world, { isAway: false, offers: 2 })
    await until(async () => (await ask()) === 2)
    expect(rollOut.status.away).toBeUndefined()
  })

  it('with the source away at the start, what proved good the last time is used and said', async () => {
    const { ask, rollOut, lines } = await start({ isAway: true, good: 7 })
    expect(await ask()).toBe(7)
    expect(rollOut.status).toMatchObject({ release: 'm 7', away: expect.stringContaining('MLflow is away') })
    expect(lines.join()).toContain('the model that proved good the last time is used')
  })

  it('turned away by the source at the start, what proved good the last time is used and said', async () => {
    const turnedAway = new UsageError('unauthorized', 'MLflow answers 403, "Invalid Host header"')
    const { ask, rollOut } = await start({ away: turnedAway, good: 7 })
    expect(await ask()).toBe(7)
    expect(rollOut.status.away).toContain('Invalid Host header')
    await expect(start({ away: turnedAway })).rejects.toThrow('Invalid Host header')
  })

  it('a source that knows no such model is not stood in for', async () => {
    const unknown = new UsageError('model_missing', 'no alias "champion"')
    await expect(start({ away: unknown, good: 7 })).rejects.toThrow('no alias')
  })

  it('with a bad release at the start, what proved good the last time is used and said', async () => {
    const { ask, rollOut } = await start({ offers: 66, good: 7 })
    expect(await ask()).toBe(7)
    expect(rollOut.status.refused).toContain('m 66')
  })

  it('without anything good it does not start', async () => {
    await expect(start({ isAway: true })).rejects.toThrow('MLflow is away')
    await expect(start({ offers: 66 })).rejects.toMatchObject({ code: 'model_parity_failed' })
  })
})
