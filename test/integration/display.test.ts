import { connect } from 'node:net'
import { Registry } from 'prom-client'
import { describe, expect, it, type TestContext } from 'vitest'
import type { OpenOptions } from '../../src/broker/options.ts'
import { WAITING_BYTES_MAX } from '../../src/display/browsers.ts'
import { createDisplay } from '../../src/display/display.ts'
import type { DrawnEvent, Snapshot } from '../../src/display/messages.ts'
import { displayMetrics } from '../../src/display/metrics.ts'
import { BACKENDS, type OpenedBackend, openBackend } from '../support/broker-backends.ts'
import { SILENT, startConsuming, untilDrained } from '../support/consuming.ts'
import { listenTo } from '../support/event-stream.ts'
import { azimuthOf, TestInferrer } from '../support/faulty-inferrer.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { startRedis } from '../support/redis.ts'
import { startDisplay } from '../support/shown-stream.ts'
import { until } from '../support/until.ts'

interface ShownOptions {
  readonly token?: string
  readonly port?: number
  readonly sampleEveryMs?: number
}

/** A display of the backend, as a process of its own would have it. */
async function show(t: TestContext, backend: Pick<OpenedBackend, 'open'>, options: ShownOptions = {}) {
  const stop = new AbortController()
  const registry = new Registry()
  const display = createDisplay({
    broker: await backend.open(),
    version: '1',
    token: options.token,
    settings: { sampleEveryMs: options.sampleEveryMs ?? 10 },
    metrics: displayMetrics(registry),
    log: SILENT,
    signal: stop.signal,
  })
  const health = () => ({ live: true, ready: true, details: {} })
  const server = await display.openServer({ port: options.port ?? 0, registry, health })
  const running = display.run()
  const close = async () => {
    stop.abort()
    await running
    await server.close()
  }
  t.onTestFinished(close)
  const getJson = async <T>(path: string) => {
    const response = await fetch(`${server.url}${path}`)
    expect(response.status).toBe(200)
    return (await response.json()) as T
  }
  return { server, registry, close, getJson, stream: `${server.url}/api/stream` }
}

async function publishAndPredict(
  t: TestContext,
  backend: OpenedBackend,
  batches: number,
  options: OpenOptions = {},
): Promise<void> {
  const broker = await backend.open(options)
  startConsuming(t, { broker, inferrer: new TestInferrer() })
  for (let i = 0; i < batches; i++) {
    const events = makeEvents(8, 1 + i * 8, { truth: true })
    if (i === 3) events.charges[0] = Number.NaN
    await broker.publish(toMessage(`b${i}`, events))
    // As an emitter at a rate; otherwise all would be settled before anybody could look.
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await untilDrained(broker)
}

it('tells proxies neither to compress nor to buffer the stream', async (t) => {
  const shown = await show(t, await openBackend(t, 'sqlite'))
  const stop = new AbortController()
  t.onTestFinished(() => stop.abort())
  const { headers } = await fetch(shown.stream, { signal: stop.signal })
  expect(headers.get('cache-control')?.split(', ')).toEqual(['no-store', 'no-transform'])
  expect(headers.get('x-accel-buffering')).toBe('no')
})

describe.each(BACKENDS)('display of %s', (kind) => {
  it('shows the account of the run, its events as predicted, and its dead letters', async (t) => {
    const backend = await openBackend(t, kind)
    const shown = await show(t, backend)
    const stream = await listenTo(shown.stream, t)
    await publishAndPredict(t, backend, 40)
    const totals = await (await backend.open()).totals()
    expect(totals).toEqual({ emitted: 320, predicted: 319, deadLettered: 1 })

    const last = await until(() => stream.all('strip').find(({ account }) => account.predicted === 319))
    expect(last.account).toEqual({ ...totals, waiting: 0 })
    const settled = await until(() => stream.all('strip').find(({ watched }) => watched.predictions === 319))
    expect(settled.watched.skippedBatches).toBe(0)
    expect(settled.watched.latencyMs?.p50).toBeGreaterThan(0)

    await until(() => stream.all('event').length > 2)
    const drawn = stream.all('event')
    for (const event of drawn) {
      expect(event.prediction.azimuth).toBeCloseTo(azimuthOf(Number(event.eventId)), 4)
      expect(event.pulsesTotal).toBe(6)
      expect(event.errorRad).not.toBeNull()
    }
    const letters = await until(() => stream.all('dead-letters')[0])
    expect(letters.newest).toMatchObject([{ eventId: '25', code: 'charge_not_finite', batchId: 'b3' }])

    const snapshot = await shown.getJson<Snapshot>('/api/snapshot')
    expect(snapshot.deadLetters).toEqual(letters)
    expect(snapshot.events.map(({ key }) => key)).toEqual(expect.arrayContaining(drawn.map(({ key }) => key)))
    expect(snapshot.newest).not.toBeNull()
    expect(await shown.getJson<DrawnEvent>(`/api/events/${drawn[0].key}`)).toEqual(drawn[0])
    expect(snapshot.sky.azimuth.length).toBeGreaterThanOrEqual(snapshot.events.length)
    await until(async () => {
      const { sky } = await shown.getJson<Snapshot>('/api/snapshot')
      return drawn.every(({ key }) => sky.key.includes(key))
    })
  })

  it('fills the sky with what was predicted before it started, and counts none of it', async (t) => {
    const backend = await openBackend(t, kind)
    await publishAndPredict(t, backend, 30)
    const shown = await show(t, backend)
    const stream = await listenTo(shown.stream, t)
    await until(() => stream.all('strip').length > 0)
    const { sky, strips } = await until(async () => {
      const snapshot = await shown.getJson<Snapshot>('/api/snapshot')
      return snapshot.sky.azimuth.length > 0 ? snapshot : undefined
    })
    expect(sky.azimuth.length).toBe(20 * 8)
    expect(strips.at(-1)).toMatchObject({ account: { predicted: 239 }, watched: { predictions: 0 } })
  })

  it('never delays trimming and leases no batch', async (t) => {
    const backend = await openBackend(t, kind)
    const shown = await show(t, backend)
    await listenTo(shown.stream, t)
    await publishAndPredict(t, backend, 60, { upkeepMs: 10, predictionsMax: 2 })
    const reader = await backend.open()
    expect(await reader.backlog()).toMatchObject({ unreadBatches: 0, leasedBatches: 0, events: 0 })
    await until(async () => {
      const kept = await Array.fromAsync(reader.predictions({ signal: AbortSignal.timeout(200) }))
      return kept.length <= 2
    })
    const parts = await reader.heartbeats()
    expect(parts).toEqual([])
  })
})

describe('display', () => {
  it('bounds what a browser costs that never reads, and serves the others', async (t) => {
    const backend = await openBackend(t, 'sqlite')
    const shown = await show(t, backend, { sampleEveryMs: 1 })
    const stuck = connect(shown.server.port, '127.0.0.1')
    t.onTestFinished(async () => void stuck.destroy())
    stuck.write('GET /api/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
    stuck.pause()
    const stream = await listenTo(shown.stream, t)
    const broker = await backend.open()
    startConsuming(t, { broker, inferrer: new TestInferrer() })
    const dropped = async () => {
      const text = await shown.registry.getSingleMetricAsString('nustream_display_messages_total')
      return Number(/outcome="dropped"} (\d+)/.exec(text)?.[1])
    }
    const publishUntil = async (droppedMin: number, name: string) => {
      for (let i = 0; i < 4_000 && (await dropped()) < droppedMin; i++) {
        await broker.publish(toMessage(`${name}${i}`, makeEvents(2, 1, { pulsesPerEvent: 1_500 })))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      expect(await dropped()).toBeGreaterThanOrEqual(droppedMin)
    }
    await publishUntil(1, 'a')
    const before = process.memoryUsage.rss()
    const seen = stream.all('event').length
    await publishUntil(150, 'b')
    expect(stream.all('event').length - seen).toBeGreaterThan(100)
    expect(stream.all('dropped')).toEqual([])
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * WAITING_BYTES_MAX)
  })

  it('greets a browser that reconnects after a restart, and sends it a complete snapshot', async (t) => {
    const backend = await openBackend(t, 'sqlite')
    const first = await show(t, backend)
    const stream = await listenTo(first.stream, t)
    const hello = await until(() => stream.all('hello')[0])
    await publishAndPredict(t, backend, 10)
    await first.close()
    await stream.ended
    const second = await show(t, backend, { port: first.server.port })
    const again = await listenTo(second.stream, t)
    const greeting = await until(() => again.all('hello')[0])
    expect(greeting.service).not.toBe(hello.service)
    const snapshot = await until(async () => {
      const now = await second.getJson<Snapshot>('/api/snapshot')
      return now.sky.azimuth.length > 0 ? now : undefined
    })
    expect(snapshot.service).toBe(greeting.service)
    expect(snapshot.strips.at(-1)?.account.predicted).toBe(79)
  })

  it('gives the stream to those who know the token', async (t) => {
    const backend = await openBackend(t, 'sqlite')
    const shown = await show(t, backend, { token: 'owl' })
    await expect(listenTo(shown.stream, t)).rejects.toThrow('401')
    const answer = await fetch(`${shown.server.url}/api/token`, {
      method: 'POST',
      body: JSON.stringify({ token: 'owl' }),
      headers: { 'content-type': 'application/json' },
    })
    const cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? ''
    const stream = await listenTo(shown.stream, t, { cookie })
    await until(() => stream.all('hello').length === 1)
  })

  it('shows an unreachable broker with growing ages of the processes, and continues when it is back', async (t) => {
    const redis = await startRedis(t)
    const { url, process: display } = await startDisplay(redis.url, t)
    const stream = await listenTo(`${url}/api/stream`, t)
    const newest = () => stream.all('health').at(-1)
    await until(() => newest()?.parts.some(({ role }) => role === 'display'), { withinMs: 20_000 })
    await redis.kill9()
    const down = await until(() => (newest()?.brokerUp === false ? newest() : undefined), {
      withinMs: 20_000,
    })
    expect(down.parts).toMatchObject([{ role: 'display' }])
    await until(() => (newest()?.parts[0]?.ageMs ?? 0) > down.parts[0].ageMs, { withinMs: 20_000 })
    await redis.restart()
    await until(() => newest()?.brokerUp === true, { withinMs: 20_000 })
    expect(await display.kill('SIGTERM')).toBeDefined()
  })
})
