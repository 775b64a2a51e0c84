import { fileURLToPath } from 'node:url'
import { describe, expect, it, type TestContext } from 'vitest'
import { openingAngles } from '../../src/event/direction.ts'
import { eventCount } from '../../src/event/event-batch.ts'
import { type LocalModel, openLocalModel } from '../../src/inference/network/local.ts'
import { openInferrer } from '../../src/inference/open.ts'
import { openRemoteNetwork, type RemoteNetworkOptions } from '../../src/inference/remote/remote-network.ts'
import { SUM_GRAPH, SUM_MANIFEST, writeModelFolder } from '../support/model-folder.ts'
import { randomEvents } from '../support/random-events.ts'
import { type ProxiedCall, type Script, startProxy } from '../support/scripted-proxy.ts'
import { startServer } from '../support/start-server.ts'

const folder = fileURLToPath(new URL('../../models/linefit-onnx', import.meta.url))
const V2 = '{"name":"other","version":"1","extensions":[]}'

describe('a model folder whose network runs on a server', () => {
  it.for(['bytes', 'JSON'] as const)('answers as in this process, over %s', async (how, t) => {
    const { local, url } = await serve(t)
    const proxy = await startProxy(t, url, ({ path }) =>
      how === 'JSON' && path === '/v2' ? { status: 200, body: V2 } : undefined,
    )
    const remote = await open(t, proxy.url, { token: 'secret' })
    const events = randomEvents({ events: 150 })
    const [near, far] = [await local.infer(events), await remote.infer(events)]
    expect(far.model).toEqual(near.model)
    expect(far.faults).toEqual(near.faults)
    expect(far.degenerate).toEqual(near.degenerate)
    // Straight down has no azimuth; there alone JSON, which has no negative zero, may tell another.
    for (const angle of openingAngles(far, near)) expect(angle).toBeLessThan(1e-6)
    if (how === 'bytes') expect(far.azimuth).toEqual(near.azimuth)
    const asked = proxy.calls.filter(({ path }) => path.endsWith('/infer'))
    expect(asked.length).toBeGreaterThan(1)
    for (const { path, headers } of asked) {
      expect(path).toBe('/v2/models/linefit-onnx/infer')
      expect(headers['content-type']).toBe(how === 'JSON' ? 'application/json' : 'application/octet-stream')
    }
  })

  it('sends no more events at once than it is told', async (t) => {
    const { url } = await serve(t)
    const proxy = await startProxy(t, url, () => undefined)
    const remote = await open(t, proxy.url, { token: 'secret', eventsPerRequest: 8 })
    const before = proxy.calls.length
    await remote.infer(randomEvents({ events: 40 }))
    const sizes = proxy.calls.slice(before).map((call) => shapeOf(call)?.[0] ?? 0)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(40)
  })

  it('hands the span that asks to the server', async (t) => {
    const { url } = await serve(t)
    const proxy = await startProxy(t, url, () => undefined)
    const remote = await open(t, proxy.url, { token: 'secret' })
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    await remote.infer(randomEvents({ events: 2 }), { traceparent })
    expect(proxy.calls.at(-1)?.headers['traceparent']).toBe(traceparent)
  })

  it('finds the one event that the server refuses, and its neighbours get their answers', async (t) => {
    const { local, url } = await serve(t)
    const events = randomEvents({ events: 12 })
    let pulsesMax = Number.POSITIVE_INFINITY
    const proxy = await startProxy(t, url, (call) =>
      (shapeOf(call)?.[1] ?? 0) < pulsesMax
        ? undefined
        : { status: 400, body: '{"error":"too long for me"}' },
    )
    const remote = await open(t, proxy.url, { token: 'secret' })
    const before = proxy.calls.length
    await remote.infer(events)
    const lengths = proxy.calls.slice(before).map((call) => shapeOf(call)?.[1] ?? 0)
    // From now on the longest event is refused, and whoever travels with it.
    pulsesMax = Math.max(...lengths)
    const [near, far] = [await local.infer(events), await remote.infer(events)]
    expect(far.faults.length).toBe(1)
    const [fault] = far.faults
    expect(fault).toMatchObject({ code: 'model_failed', message: expect.stringContaining('too long for me') })
    expect(far.azimuth[fault.index]).toBeNaN()
    for (let e = 0; e < eventCount(events); e++)
      if (e !== fault.index) expect(far.azimuth[e]).toBeCloseTo(near.azimuth[e], 9)
  })

  const away: readonly { name: string; answer: ReturnType<Script>; code: string; seconds?: number }[] = [
    {
      name: 'sends Retry-After',
      answer: { status: 503, headers: { 'retry-after': '7' } },
      code: 'model_overloaded',
      seconds: 7,
    },
    { name: 'has too much to do', answer: { status: 429 }, code: 'model_overloaded', seconds: 1 },
    {
      name: 'stands behind a proxy that cannot reach it',
      answer: { status: 502 },
      code: 'model_unreachable',
    },
    {
      name: 'has unloaded the model',
      answer: { status: 404, body: '{"error":"not found"}' },
      code: 'model_unreachable',
    },
    { name: 'does not answer in time', answer: 'hang', code: 'model_unreachable' },
  ]
  it.for(away)('is asked again later when it $name', async ({ answer, code, seconds }, t) => {
    const { url } = await serve(t)
    let isAway = false
    const proxy = await startProxy(t, url, ({ path }) =>
      isAway && path.endsWith('/infer') ? answer : undefined,
    )
    const remote = await open(t, proxy.url, { token: 'secret', timeoutMs: 3_000 })
    isAway = true
    const expected = { code, disposition: 'retry', ...(seconds && { retryAfterSeconds: seconds }) }
    await expect(remote.infer(randomEvents({ events: 3 }))).rejects.toMatchObject(expected)
    isAway = false
    expect((await remote.infer(randomEvents({ events: 3 }))).faults).toEqual([])
  })

  it('blames no event for an answer of a server that is not ready or has just become ready', async (t) => {
    const { local, url } = await serve(t)
    let isReady = true
    let refusals = 0
    const proxy = await startProxy(t, url, ({ path }) => {
      if (path.endsWith('/ready') && !isReady) return { status: 400, body: '{"error":"not ready"}' }
      return path.endsWith('/infer') && refusals-- > 0
        ? { status: 500, body: '{"error":"starting"}' }
        : undefined
    })
    const remote = await open(t, proxy.url, { token: 'secret' })
    const events = randomEvents({ events: 3 })
    isReady = false
    refusals = 100
    await expect(remote.infer(events)).rejects.toMatchObject({ code: 'model_unreachable' })
    isReady = true
    refusals = 1
    expect((await remote.infer(events)).degenerate).toEqual((await local.infer(events)).degenerate)
  })

  it('is unreachable at first, and answers once the server runs', async (t) => {
    const remote = await openRemoteNetwork(folder, 'http://127.0.0.1:1', { timeoutMs: 300 })
    t.onTestFinished(() => remote[Symbol.asyncDispose]())
    await expect(remote.ready()).rejects.toMatchObject({ code: 'model_unreachable' })
    await expect(remote.infer(randomEvents({ events: 1 }))).rejects.toMatchObject({
      code: 'model_unreachable',
    })
  })

  it('stops for a wrong token, and for a server that has another network', async (t) => {
    const { url } = await serve(t)
    await expect(open(t, url, { token: 'wrong' })).rejects.toMatchObject({ code: 'unauthorized' })
    const shifted = await startProxy(t, url, ({ path }) =>
      path.endsWith('/infer')
        ? { status: 200, headers: { 'content-type': 'application/json' }, body: otherAnswer() }
        : undefined,
    )
    await expect(open(t, shifted.url, { token: 'secret' })).rejects.toMatchObject({
      code: 'model_parity_failed',
    })
  })

  it('verifies a server again that answers with another version', async (t) => {
    const { url } = await serve(t)
    let version = '1'
    let proofs = 0
    const proxy = await startProxy(t, url, ({ path }) => {
      if (path.endsWith('/ready')) proofs++
      return path.endsWith('/infer') && version !== '1'
        ? { status: 200, body: otherAnswer(version) }
        : undefined
    })
    const remote = await open(t, proxy.url, { token: 'secret' })
    await remote.infer(randomEvents({ events: 1 }))
    const before = proofs
    version = '2'
    const changed = remote.infer(randomEvents({ events: 1 }))
    await expect(changed).rejects.toMatchObject({
      code: 'model_unreachable',
      message: /version 2 instead of 1/,
    })
    await expect(remote.infer(randomEvents({ events: 1 }))).rejects.toMatchObject({
      code: 'model_parity_failed',
    })
    expect(proofs).toBeGreaterThan(before)
  })

  it('ends with its signal, and blames no event for that', async (t) => {
    const { url } = await serve(t)
    let isSilent = false
    const proxy = await startProxy(t, url, ({ path }) =>
      isSilent && path.endsWith('/infer') ? 'hang' : undefined,
    )
    const remote = await open(t, proxy.url, { token: 'secret' })
    isSilent = true
    const stop = new AbortController()
    const asked = remote.infer(randomEvents({ events: 3 }), { signal: stop.signal })
    setTimeout(() => stop.abort(new Error('stopped')), 50)
    await expect(asked).rejects.toThrow('stopped')
  })

  it('needs no network in its folder, and takes the model name of its URL', async (t) => {
    const whole = await writeModelFolder({ network: SUM_GRAPH, manifest: { ...SUM_MANIFEST, name: 'sum' } })
    const without = await writeModelFolder({ manifest: { ...SUM_MANIFEST, name: 'here-otherwise' } })
    const model = await openLocalModel(whole, { threads: 1 })
    t.onTestFinished(() => model[Symbol.asyncDispose]())
    const server = await startServer(t, { model })
    const events = randomEvents({ events: 9 })
    for (const url of [`${server.url}/v2/models/sum`, `${server.url}/v2/models/sum/versions/1/infer`]) {
      await using remote = await openInferrer(without, { inferUrl: url })
      expect((await remote.infer(events)).azimuth).toEqual((await model.infer(events)).azimuth)
    }
    for (const spec of ['linefit', server.url])
      await expect(openInferrer(spec, { inferUrl: server.url })).rejects.toMatchObject({
        code: 'flag_invalid',
      })
    await expect(openInferrer(without, { inferUrl: 'triton:8000' })).rejects.toMatchObject({
      code: 'flag_invalid',
    })
  })
})

async function serve(t: TestContext): Promise<{ local: LocalModel; url: string }> {
  const local = await openLocalModel(folder, { threads: 1 })
  t.onTestFinished(() => local[Symbol.asyncDispose]())
  const { url } = await startServer(t, { model: local, tokens: ['secret'] })
  return { local, url }
}

async function open(t: TestContext, url: string, options: RemoteNetworkOptions) {
  const remote = await openRemoteNetwork(folder, url, options)
  t.onTestFinished(() => remote[Symbol.asyncDispose]())
  return remote
}

/** Events and padded pulses of a request; undefined for any other call. */
function shapeOf({ path, body, headers }: ProxiedCall): readonly [number, number] | undefined {
  if (!path.endsWith('/infer')) return undefined
  const json = JSON.parse(body.subarray(0, Number(headers['inference-header-content-length'])).toString())
  const [events, pulses] = json.inputs[0].shape
  return [events, pulses]
}

/** What a network answers that thinks every event comes from above, for any number of events up to the fixture's. */
function otherAnswer(version = '1'): string {
  const rows = 1
  const direction = {
    name: 'direction',
    datatype: 'FP64',
    shape: [rows, 3],
    data: Array(rows).fill([0, 0, 1]).flat(),
  }
  const degenerate = { name: 'degenerate', datatype: 'BOOL', shape: [rows], data: Array(rows).fill(false) }
  return JSON.stringify({ model_name: 'x', model_version: version, outputs: [direction, degenerate] })
}
