import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { NO_TRACER } from '../../src/telemetry/tracing.ts'
import { metric, post, pulse, raw } from '../support/ask-server.ts'
import { fakeModel } from '../support/fake-model.ts'
import { startServer } from '../support/start-server.ts'
import { until } from '../support/until.ts'

describe('who may ask the model server, and what it tells of itself', () => {
  it('counts the bytes of bodies that have arrived, not those that are declared or could come', async (test) => {
    const server = await startServer(test)
    const silent = ['content-length: 60000000', 'content-length: 60000000', 'transfer-encoding: chunked']
    const sockets = Array.from({ length: 12 }, (_, i) => {
      const socket = connect(server.port, '127.0.0.1')
      socket.write(
        `POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/vnd.apache.arrow.stream\r\n${silent[i % 3]}\r\n\r\n`,
      )
      return socket
    })
    test.onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
    })
    await until(() => sockets.every(({ bytesWritten }) => bytesWritten > 0))
    expect((await post(server, { pulses: [pulse] })).status).toBe(200)
    expect(await metric(server, 'nustream_server_bodies_bytes')).toBe(0)
    const chunked = await Promise.all(
      Array.from({ length: 16 }, () =>
        fetch(`${server.url}/predict`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: new Blob([JSON.stringify({ pulses: [pulse] })]).stream(),
          duplex: 'half',
        } as RequestInit),
      ),
    )
    expect(chunked.map(({ status }) => status)).toEqual(Array(16).fill(200))
  })

  it('refuses the largest body that still arrives when too many bytes are held, and lets small ones pass', async (test) => {
    const server = await startServer(test, { limits: { bodiesBytesMax: 1_000_000 } })
    const begin = (bytes: number) => {
      const socket = connect(server.port, '127.0.0.1')
      test.onTestFinished(() => void socket.destroy())
      const answer = once(socket, 'data').then(String)
      socket.write(
        'POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2000000\r\n\r\n',
      )
      socket.write(Buffer.alloc(bytes, 32))
      return answer
    }
    const large = begin(600_000)
    await until(async () => (await metric(server, 'nustream_server_bodies_bytes')) === 600_000)
    void begin(390_000)
    await until(async () => (await metric(server, 'nustream_server_bodies_bytes')) === 990_000)
    expect((await post(server, { pulses: Array(1_000).fill(pulse) })).status).toBe(200)
    expect(await large).toMatch(/^HTTP\/1.1 503 .*retry-after: 1\r\n.*"overloaded"/s)
    await until(async () => (await metric(server, 'nustream_server_bodies_bytes')) === 390_000)
  })

  it('refuses requests of web pages of other sites', async (test) => {
    const server = await startServer(test, { allowedHosts: ['cube2.example'] })
    const status = async (headers: Record<string, string>, path = '/model') => {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      const answer = await raw(server, `GET ${path} HTTP/1.1\r\n${lines.join('')}connection: close\r\n\r\n`)
      return Number(answer.split(' ')[1])
    }
    for (const host of ['localhost', `127.0.0.1:${server.port}`, '[::1]:8500', 'cube2.example'])
      expect(await status({ host })).toBe(200)
    for (const path of ['/model', '/metrics', '/health', '/docs/json', '/v2/models/fake', '/nothing'])
      expect(await status({ host: 'evil.example' }, path)).toBe(403)
    expect(await status({ host: 'localhost', origin: 'http://evil.example' })).toBe(403)
    expect(await status({ host: 'localhost', origin: 'http://localhost:3000' })).toBe(200)
    const refused = await raw(
      server,
      'GET /model HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n',
    )
    expect(refused).toContain('"code":"forbidden"')
    expect(refused).toContain('name it with --allowed-hosts')
  })

  it('takes each of several tokens, and follows them as they change', async (test) => {
    let tokens: readonly string[] = ['old', 'new']
    const server = await startServer(test, { tokens: () => tokens })
    const status = async (token: string) => (await post(server, { pulses: [pulse] }, { token })).status
    expect([await status('old'), await status('new'), await status('other')]).toEqual([200, 200, 401])
    tokens = ['new']
    expect([await status('old'), await status('new')]).toEqual([401, 200])
  })

  it('answers 503 with Retry-After on /health while the model cannot answer, and 200 on /health/live', async (test) => {
    const model = fakeModel({ ready: () => Promise.reject(new Error('worker 0 is loading')) })
    const server = await startServer(test, { model })
    for (const path of ['/health', '/health/ready']) {
      const response = await fetch(server.url + path)
      expect(response.status).toBe(503)
      expect(response.headers.get('retry-after')).toBe('1')
      expect(await response.json()).toMatchObject({
        status: 'unavailable',
        live: true,
        ready: false,
        details: { model: 'worker 0 is loading' },
      })
    }
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200)
  })

  it('has buckets at half a second and beyond a minute, and exemplars that name a trace', async (test) => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    const tracer = {
      ...NO_TRACER,
      start: (_name: string) => ({ traceparent, set() {}, fail() {}, end() {} }),
    }
    const server = await startServer(test, { tracer, queue: {} })
    await post(server, { pulses: [pulse] })
    const accept = 'application/openmetrics-text;version=1.0.0'
    // The request is counted after its answer is sent.
    const text = await until(async () => {
      const shown = await (await fetch(`${server.url}/metrics`, { headers: { accept } })).text()
      return shown.includes('route="/predict"') && shown
    })
    for (const name of ['request', 'queue_wait', 'inference']) {
      for (const le of ['0.5', '1', '60', '120', '300'])
        expect(text).toMatch(new RegExp(`^nustream_server_${name}_seconds_bucket\\{le="${le}"`, 'm'))
    }
    expect(text).toMatch(
      /nustream_server_request_seconds_bucket\{le="[\d.]+",route="\/predict",status="200"\} 1 # \{trace_id="4bf92f3577b34da6a3ce929d0e0e4736"\}/,
    )
  })
})
