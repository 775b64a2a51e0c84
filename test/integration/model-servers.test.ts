import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import type { Inferrer } from '../../src/inference/inferrer.ts'
import { type HttpInferrerOptions, openHttpInferrer } from '../../src/inference/remote/http.ts'
import { openBackend } from '../support/broker-backends.ts'
import { range, untilDrained } from '../support/consuming.ts'
import { azimuthOf, FaultyInferrer, onEvent, TestInferrer } from '../support/faulty-inferrer.ts'
import { freePort } from '../support/free-port.ts'
import { startNustream } from '../support/nustream.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { startProxy } from '../support/scripted-proxy.ts'
import { startServer } from '../support/start-server.ts'
import { until } from '../support/until.ts'

async function open(
  t: TestContext,
  urls: readonly string[],
  options: HttpInferrerOptions = {},
): Promise<Inferrer> {
  const inferrer = await openHttpInferrer(urls.join(','), options)
  t.onTestFinished(async () => void (await inferrer[Symbol.asyncDispose]()))
  return inferrer
}

/** A model server on the network that answers each batch after `ms`. */
async function serve(t: TestContext, ms = 0, port?: number) {
  const model = new TestInferrer()
  const answer = model.infer.bind(model)
  let delayMs = ms
  model.infer = async (batch) => {
    if (delayMs > 0) await setTimeout(delayMs)
    return await answer(batch)
  }
  const server = await startServer(t, { model, ...(port !== undefined && { port }) })
  return {
    ...server,
    model,
    delay: (next: number) => {
      delayMs = next
    },
  }
}

const batch = makeEvents(4)
const azimuths = range(1, 4).map(azimuthOf)

describe('several model servers', () => {
  it('share the batches', async (t) => {
    const servers = [await serve(t, 5), await serve(t, 5)]
    const inferrer = await open(
      t,
      servers.map(({ url }) => url),
    )
    await Promise.all(range(1, 40).map(() => inferrer.infer(batch)))
    for (const { answered } of inferrer.servers ?? []) expect(answered).toBeGreaterThan(10)
  })

  it('one that dies costs no batch, and is asked again when it is back', async (t) => {
    const [first, second] = [await serve(t), await serve(t)]
    const inferrer = await open(t, [first.url, second.url])
    await first.close()
    for (let i = 0; i < 6; i++) {
      const { azimuth, faults } = await inferrer.infer(batch)
      expect([Array.from(azimuth), faults]).toEqual([azimuths, []])
    }
    await inferrer.ready()
    expect(inferrer.servers?.map(({ isUp }) => isUp)).toEqual([false, true])
    expect(inferrer.servers?.[0].problem).toContain('cannot be reached')

    const again = await serve(t, 0, first.port)
    await until(() => inferrer.servers?.every(({ isUp }) => isUp), {
      what: 'the first server to be up again',
    })
    await Promise.all(range(1, 10).map(() => inferrer.infer(batch)))
    expect(again.model.asked.length).toBeGreaterThan(0)
  })

  it('are unavailable when all are away, and answer as soon as one is back', async (t) => {
    const [first, second] = [await serve(t), await serve(t)]
    const inferrer = await open(t, [first.url, second.url])
    await Promise.all([first.close(), second.close()])
    await expect(inferrer.infer(batch)).rejects.toMatchObject({ code: 'model_unreachable' })
    await expect(inferrer.ready()).rejects.toMatchObject({ code: 'model_unreachable' })
    await serve(t, 0, second.port)
    expect(Array.from((await inferrer.infer(batch)).azimuth)).toEqual(azimuths)
  })

  it('a slow one is overtaken by another after the time given', async (t) => {
    const [slow, fast] = [await serve(t, 2_000), await serve(t)]
    const inferrer = await open(t, [slow.url, fast.url], { hedgeMs: 40 })
    const startedMs = performance.now()
    for (let i = 0; i < 4; i++) expect(Array.from((await inferrer.infer(batch)).azimuth)).toEqual(azimuths)
    expect(performance.now() - startedMs).toBeLessThan(2_000)
    const hedged = inferrer.servers?.reduce((sum, server) => sum + server.hedged, 0) ?? 0
    expect(hedged).toBeGreaterThan(0)
  })

  it('a slow one is overtaken after the 95th percentile of late where no time is given', async (t) => {
    const [first, second] = [await serve(t), await serve(t)]
    const inferrer = await open(t, [first.url, second.url])
    for (let i = 0; i < 40; i++) await inferrer.infer(batch)
    first.delay(3_000)
    const startedMs = performance.now()
    for (let i = 0; i < 3; i++) await inferrer.infer(batch)
    expect(performance.now() - startedMs).toBeLessThan(2_900)
  })

  it('hedge at most one request in ten when all are slow', async (t) => {
    const servers = [await serve(t, 30), await serve(t, 30)]
    const inferrer = await open(
      t,
      servers.map(({ url }) => url),
      { hedgeMs: 1 },
    )
    for (let i = 0; i < 40; i++) await inferrer.infer(batch)
    const hedged = inferrer.servers?.reduce((sum, server) => sum + server.hedged, 0) ?? 0
    expect(hedged).toBeGreaterThan(0)
    expect(hedged).toBeLessThanOrEqual(3 + 40 / 10)
  })

  it('find one event at fault together', async (t) => {
    const plan = onEvent(3, 'fails')
    const urls: string[] = []
    for (const model of [
      new FaultyInferrer(new TestInferrer(), plan),
      new FaultyInferrer(new TestInferrer(), plan),
    ])
      urls.push((await startServer(t, { model })).url)
    const { faults } = await (await open(t, urls)).infer(batch)
    expect(faults.map(({ index, code }) => [index, code])).toEqual([[2, 'model_failed']])
  })
})

describe('a token that is no longer taken', () => {
  it('stops the opening, and is waited for in mid-run', async (t) => {
    const { url } = await startServer(t, { tokens: ['new'], model: new TestInferrer() })
    await expect(open(t, [url], { token: 'old' })).rejects.toThrow(UsageError)

    let isRefused = false
    const proxy = await startProxy(t, url, () => (isRefused ? { status: 401, body: '{}' } : undefined))
    const inferrer = await open(t, [proxy.url], { token: 'new' })
    expect((await inferrer.infer(batch)).faults).toEqual([])
    isRefused = true
    const refused = { code: 'unauthorized', disposition: 'retry' }
    await expect(inferrer.infer(batch)).rejects.toMatchObject(refused)
    await expect(inferrer.ready()).rejects.toMatchObject(refused)
    isRefused = false
    expect((await inferrer.infer(batch)).faults).toEqual([])
  })
})

describe('nustream consume', () => {
  it('is not ready while the model server refuses its token, continues when it accepts it, and counts the reason', async (t) => {
    const backend = await openBackend(t, 'sqlite')
    const broker = await backend.open()
    const { url } = await startServer(t, { model: new TestInferrer() })
    let isRefused = false
    const proxy = await startProxy(t, url, () => (isRefused ? { status: 401, body: '{}' } : undefined))
    const port = await freePort()
    const args = [
      '--broker',
      backend.url,
      '--model',
      `${proxy.url},${proxy.url}`,
      '--port',
      `${port}`,
      '--model-timeout-ms',
      '5000',
    ]
    const consumer = startNustream(['consume', ...args], t)
    const get = async (path: string) => await fetch(`http://127.0.0.1:${port}${path}`)
    const isReady = async () => (await get('/health/ready')).ok
    const whileStarting = (error: unknown) => error instanceof TypeError
    await until(isReady, { withinMs: 30_000, notYet: whileStarting, what: 'the consumer to be ready' })

    isRefused = true
    await broker.publish(toMessage('b1', makeEvents(8)))
    await until(async () => !(await isReady()), { withinMs: 30_000, what: 'the consumer not to be ready' })
    const health = await (await get('/health')).text()
    expect(health).toContain('does not take the token')
    const counted = async () =>
      /retries_total{reason="unauthorized"} [1-9]/.test(await (await get('/metrics')).text())
    await until(counted, { what: 'a retry to be counted' })
    expect(await (await get('/metrics')).text()).toContain('nustream_consumer_model_up 0')

    isRefused = false
    await untilDrained(broker, 60_000)
    expect(await broker.totals()).toEqual({ emitted: 8, predicted: 8, deadLettered: 0 })
    await until(isReady, { withinMs: 30_000, what: 'the consumer to be ready again' })
    expect(consumer.stderr()).toContain('the model cannot be asked')
    expect(await consumer.kill('SIGTERM')).toBe(0)
  })
})
