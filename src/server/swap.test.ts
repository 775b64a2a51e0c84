import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fakeLocalModel } from '../../test/support/fake-local-model.ts'
import { until } from '../../test/support/until.ts'
import { buildModelServer } from './server.ts'
import type { ServedModel } from './serving.ts'

const payload = { pulses: [{ sensor_id: 1, time: 1, charge: 1, auxiliary: false }] }

function open(model: ServedModel) {
  const server = buildModelServer({
    model,
    registry: new Registry(),
    log: pino({ level: 'silent' }),
    details: () => ({ model_release: 'm 7' }),
  })
  onTestFinished(() => server.app.close())
  const ask = () => server.app.inject({ method: 'POST', url: '/predict', payload })
  return { ...server, ask }
}

/** A network whose one input and output have a name of their own. */
function network(name: string, before?: () => Promise<void>): ServedModel {
  const tensor = { name, dtype: 'float32', shape: ['events', 1] } as const
  return {
    ...fakeLocalModel(),
    model: { name: 'm', version: name },
    graph: { inputs: [tensor], outputs: [tensor] },
    manifest: { inputs: [{ name, layout: 'flat', dtype: 'float32', features: [{}] }] } as never,
    async runTensors(inputs) {
      await before?.()
      return { [name]: inputs[name] }
    },
  }
}

const tensors = (name: string) => ({
  inputs: [{ name, datatype: 'FP32', shape: [1, 1], data: [5] }],
})

describe('swapModel()', () => {
  it('what was asked before is answered by the model before, and swap waits for it', async () => {
    const gate = Promise.withResolvers<void>()
    const first = fakeLocalModel({ azimuth: 1, before: () => gate.promise })
    const { swapModel, ask } = open(first)
    const asked = Array.from({ length: 20 }, ask)
    await until(() => first.underWay() > 0)
    let isDrained = false
    const swapped = swapModel(fakeLocalModel({ azimuth: 2 })).then(() => {
      isDrained = true
    })
    expect((await ask()).json()).toMatchObject({ azimuth: 2, version: '2' })
    expect(isDrained).toBe(false)
    gate.resolve()
    for (const response of await Promise.all(asked)) expect(response.json()).toMatchObject({ azimuth: 1 })
    await swapped
  })

  it('loses no request of a hundred swaps under load', async () => {
    const { swapModel, ask, app } = open(fakeLocalModel({ azimuth: 0 }))
    await app.ready()
    let isOver = false
    const statuses: number[] = []
    const loading = Array.from({ length: 8 }, async () => {
      while (!isOver) statuses.push((await ask()).statusCode)
    })
    for (let i = 1; i <= 100; i++) {
      const before = fakeLocalModel({ azimuth: i })
      await swapModel(before)
      await new Promise((resolve) => setImmediate(resolve))
    }
    isOver = true
    await Promise.all(loading)
    expect(statuses.length).toBeGreaterThan(0)
    expect(new Set(statuses)).toEqual(new Set([200]))
  })

  it('tensors are run by the model whose inputs they were checked against', async () => {
    const gate = Promise.withResolvers<void>()
    let calls = 0
    const { swapModel, app } = open(
      network('a', () => {
        calls++
        return gate.promise
      }),
    )
    const infer = (name: string) =>
      app.inject({ method: 'POST', url: '/v2/models/m/infer', payload: tensors(name) })
    const asked = [infer('a'), infer('a'), infer('a')]
    await until(() => calls === 3)
    const swapped = swapModel(network('b'))
    expect((await infer('b')).json()).toMatchObject({
      model_version: 'b',
      outputs: [{ name: 'b', data: [5] }],
    })
    expect((await infer('a')).statusCode).toBe(400)
    gate.resolve()
    for (const response of await Promise.all(asked))
      expect(response.json()).toMatchObject({ model_version: 'a', outputs: [{ name: 'a' }] })
    await swapped
    expect((await app.inject('/v2/models/m')).json()).toMatchObject({ versions: ['b'] })
  })

  it('/health names the model in use and what is to be said of it', async () => {
    const { swapModel, app } = open(fakeLocalModel({ azimuth: 1 }))
    await swapModel(fakeLocalModel({ azimuth: 2 }))
    expect((await app.inject('/health')).json()).toMatchObject({
      version: '2',
      details: { model_release: 'm 7' },
    })
  })
})
