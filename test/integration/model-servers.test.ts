import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import type { Inferrer } from '../../src/inference/inferrer.ts'
import { type HttpInferrerOptions, openHttpInferrer } from '../../src/inference/remote/http.ts'
import { range } from '../support/consuming.ts'
import { azimuthOf, FaultyInferrer, onEvent, TestInferrer } from '../support/faulty-inferrer.ts'
import { makeEvents } from '../support/plain-events.ts'
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
    const { url } = await startServer(t, { token: 'new', model: new TestInferrer() })
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
