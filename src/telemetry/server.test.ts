import { createServer } from 'node:http'
import { Counter, Histogram, type OpenMetricsContentType, Registry } from 'prom-client'
import { expect, it, onTestFinished } from 'vitest'
import { UsageError } from '../errors.ts'
import { listen } from './listen.ts'
import { type Health, openTelemetryServer } from './server.ts'

const WELL: Health = { live: true, ready: true, details: {} }

async function start(health: () => Health | Promise<Health>, registry = new Registry()) {
  const server = await openTelemetryServer({ port: 0, registry, health })
  onTestFinished(() => server.close())
  return server
}

it('/metrics serves the registry as Prometheus text', async () => {
  const registry = new Registry()
  new Counter({ name: 'nustream_test_total', help: 'A test.', registers: [registry] }).inc(3)
  const { url } = await start(() => WELL, registry)
  const response = await fetch(`${url}/metrics`)
  expect(response.headers.get('content-type')).toContain('text/plain')
  expect(await response.text()).toContain('nustream_test_total 3')
})

it.each([
  { name: 'ready', health: () => WELL, path: '/health', status: 200 },
  { name: 'not ready', health: () => ({ ...WELL, ready: false }), path: '/health', status: 503 },
  {
    name: 'not ready but live',
    health: () => ({ ...WELL, ready: false }),
    path: '/health/live',
    status: 200,
  },
  { name: 'not live', health: () => ({ ...WELL, live: false }), path: '/health/live', status: 503 },
  { name: 'failing check', health: () => Promise.reject(new Error('away')), path: '/health', status: 503 },
  { name: 'unknown path', health: () => WELL, path: '/nothing', status: 404 },
])('answers $path with $status when $name', async ({ health, path, status }) => {
  const { url } = await start(health)
  expect((await fetch(url + path)).status).toBe(status)
})

it('/health gives the details of what is not ready, without secrets', async () => {
  const { url } = await start(() => Promise.reject(new Error('no answer from redis://:hush@cube1')))
  const body = await (await fetch(`${url}/health`)).text()
  expect(body).toContain('no answer from redis://:***@cube1')
})

it('a health check that hangs is answered as not ready', { timeout: 10_000 }, async () => {
  const { url } = await start(() => new Promise<Health>(() => {}))
  const response = await fetch(`${url}/health`)
  expect(response.status).toBe(503)
  expect(await response.json()).toMatchObject({ live: true, ready: false })
})

it('close() ends open connections and may be called twice', async () => {
  const server = await start(() => WELL)
  await fetch(`${server.url}/health`)
  await server.close()
  await server.close()
  await expect(fetch(`${server.url}/health`)).rejects.toThrow()
})

it('listen() names a taken port and the remedy', async () => {
  const first = createServer()
  onTestFinished(() => void first.close())
  const { port } = await listen(first, { port: 0 })
  const second = listen(createServer(), { port })
  await expect(second).rejects.toThrow(UsageError)
  await expect(second).rejects.toMatchObject({
    code: 'port_taken',
    message: expect.stringMatching(new RegExp(`port ${port}: .*--port`)),
  })
})

it('listen() reports an address that this machine does not have', async () => {
  await expect(listen(createServer(), { host: '192.0.2.1', port: 0 })).rejects.toMatchObject({
    code: 'port_taken',
    message: expect.stringContaining('--host'),
  })
})

it('/metrics shows exemplars to who accepts OpenMetrics, and keeps the names of counters for who does not', async () => {
  const registry = new Registry()
  new Counter({ name: 'nustream_test_total', help: 'A test.', registers: [registry] }).inc(3)
  // prom-client makes metrics with exemplars for registries of this form only, and shows them in both.
  const registers = [new Registry<OpenMetricsContentType>()]
  registers[0].setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const seconds = new Histogram({
    name: 'nustream_test_seconds',
    help: 'A test.',
    registers,
    enableExemplars: true,
  })
  registry.registerMetric(seconds)
  seconds.observe({ value: 0.02, exemplarLabels: { trace_id: '4bf92f35' } })
  const { url } = await start(() => WELL, registry)
  const accept = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5'
  for (const _ of [1, 2]) {
    const response = await fetch(`${url}/metrics`, { headers: { accept } })
    expect(response.headers.get('content-type')).toContain('application/openmetrics-text')
    const text = await response.text()
    expect(text).toContain('nustream_test_total 3')
    expect(text).toMatch(/nustream_test_seconds_bucket\{le="0.025"\} 1 # \{trace_id="4bf92f35"\} 0.02 /)
    expect(text.endsWith('# EOF\n')).toBe(true)
    const plain = await (await fetch(`${url}/metrics`)).text()
    expect(plain).toContain('nustream_test_total 3')
    expect(plain).not.toContain('trace_id')
  }
})

it('/health sends Retry-After with a 503', async () => {
  const { url } = await start(() => ({ ...WELL, ready: false }))
  expect((await fetch(`${url}/health`)).headers.get('retry-after')).toBe('1')
  expect((await fetch(`${url}/health/live`)).headers.get('retry-after')).toBeNull()
})
