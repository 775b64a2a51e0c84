import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { fakeModel } from '../support/fake-model.ts'
import { makeEvents } from '../support/plain-events.ts'
import { startServer, type TestServer } from '../support/start-server.ts'
import { until } from '../support/until.ts'

const pulse = { sensor_id: 17, time: 100.5, charge: 1.5, auxiliary: false }

function post(server: TestServer, body: unknown, options: { token?: string; signal?: AbortSignal } = {}) {
  return fetch(`${server.url}/predict`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(options.token && { authorization: `Bearer ${options.token}` }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(options.signal && { signal: options.signal }),
  })
}

/** Sends bytes over a raw connection and gathers what comes back until it is closed. */
async function raw(server: TestServer, ...parts: (string | Buffer)[]): Promise<string> {
  const socket = connect(server.port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.on('error', () => {})
  for (const part of parts) socket.write(part)
  await once(socket, 'close')
  return answer
}

/** Sends a body of zeros from one small buffer; the answer, and how much was sent when it came. */
async function pour(
  server: TestServer,
  type: string,
  bytes: number,
): Promise<{ text: string; sentBytes: number }> {
  const socket = connect(server.port, '127.0.0.1')
  const answered = once(socket, 'data')
  socket.write(
    `POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: ${type}\r\ncontent-length: ${bytes}\r\nconnection: close\r\n\r\n`,
  )
  const chunk = Buffer.alloc(100_000, 48)
  let at = 0
  const sent = (async () => {
    for (; at < bytes; at += chunk.length) {
      if (!socket.write(chunk)) await once(socket, 'drain')
    }
  })()
  const [text] = await answered
  const sentBytes = at
  // The rest is taken off our hands, or the connection is cut: both are fine.
  await sent.catch(() => {})
  socket.destroy()
  return { text: String(text), sentBytes }
}

interface Direction {
  readonly event_id: number
  readonly azimuth: number
}

interface Refusal {
  readonly error: { readonly code: string; readonly message: string }
}

// What a test then compares is the check.
async function jsonOf<T>(response: Response): Promise<T> {
  return (await response.json()) as T
}

function jsonEvent(index: number) {
  const batch = makeEvents(1, index, { pulsesPerEvent: 20 })
  return {
    event_id: index,
    pulses: {
      sensor_id: Array.from(batch.sensorIds),
      time: Array.from(batch.times),
      charge: Array.from(batch.charges),
      auxiliary: Array.from(batch.auxiliary),
    },
  }
}

async function metric(server: TestServer, name: string): Promise<number> {
  const text = await server.registry.metrics()
  const line = text.split('\n').find((each) => each.startsWith(name))
  return Number(line?.split(' ').at(-1))
}

describe('the model server on a socket', () => {
  it('gives 100 concurrent requests their own answers, the same as one after the other', async (test) => {
    await using model = await openLocalModel('linefit', { threads: 2 })
    const server = await startServer(test, { model })
    const events = Array.from({ length: 100 }, (_, i) => jsonEvent(i + 1))
    const together = await Promise.all(
      events.map(async (event) => jsonOf<Direction>(await post(server, event))),
    )
    const alone: Direction[] = []
    for (const event of events) alone.push(await jsonOf(await post(server, event)))
    expect(together).toEqual(alone)
    expect(together.map((each) => each.event_id)).toEqual(events.map((event) => event.event_id))
    expect(new Set(together.map((each) => each.azimuth)).size).toBeGreaterThan(50)
  })

  it('merges what waits, and one bad event fails no other', async (test) => {
    const gate = Promise.withResolvers<void>()
    const sizes: number[] = []
    const model = fakeModel({
      concurrency: 1,
      before: async (batch) => {
        sizes.push(batch.eventIds.length)
        if (batch.eventIds.includes(13n)) throw new Error('never asked')
        await gate.promise
      },
    })
    const server = await startServer(test, { model, limits: { batchEventsMax: 2 } })
    const first = post(server, { events: [1, 0].map((event_id) => ({ event_id, pulses: [pulse] })) })
    await until(() => sizes.length === 1)
    const others = [
      post(server, { event_id: 2, pulses: [pulse] }),
      post(server, { event_id: 13, pulses: [{ ...pulse, charge: -1 }] }),
      post(server, { events: [{ pulses: [] }, { event_id: 4, pulses: [pulse, pulse] }] }),
    ]
    await until(async () => (await metric(server, 'nustream_server_queued_events')) === 2)
    gate.resolve()
    const [one, two, bad, many] = await Promise.all([first, ...others])
    expect(await one.json()).toMatchObject({ predictions: [{ event_id: 1 }, { event_id: 0 }] })
    expect(await two.json()).toMatchObject({ event_id: 2, zenith: 0.001 })
    expect(bad.status).toBe(400)
    expect((await jsonOf<{ predictions: object[] }>(many)).predictions).toMatchObject([
      { error: { code: 'event_without_pulses' } },
      { event_id: 4, zenith: 0.002 },
    ])
    expect(sizes).toEqual([2, 2])
  })

  it('answers 413 to a body of 200 MB at once, without holding it', async (test) => {
    const server = await startServer(test)
    const before = process.memoryUsage.rss()
    for (const type of ['application/json', 'application/vnd.apache.arrow.stream']) {
      const answer = await pour(server, type, 200_000_000)
      expect(answer.text).toMatch(/^HTTP\/1.1 413 /)
      expect(answer.text).toContain('200000000 bytes')
      expect(answer.sentBytes).toBeLessThan(200_000_000)
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(100_000_000)
    expect(await metric(server, 'nustream_server_bodies_bytes')).toBe(0)
  })

  it('answers 413 to a body that grows over the limit without having said so', async (test) => {
    const server = await startServer(test, { limits: { jsonBodyBytesMax: 1_000_000 } })
    const head =
      'POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n'
    const chunk = `186a0\r\n${'1'.repeat(100_000)}\r\n`
    const answer = await raw(server, head, ...Array(20).fill(chunk), '0\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
  })

  it('reads a refused body of no stated size to its end, so that its 413 is not lost in a reset', async (test) => {
    const server = await startServer(test, { limits: { jsonBodyBytesMax: 100_000 } })
    const socket = connect(server.port, '127.0.0.1')
    const answered = once(socket, 'data')
    socket.write(
      'POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    const chunk = `186a0\r\n${'1'.repeat(100_000)}\r\n`
    // An error of the socket ends the test.
    for (let i = 0; i < 500; i++) if (!socket.write(chunk)) await once(socket, 'drain')
    socket.end('0\r\n\r\n')
    expect(String(await answered)).toMatch(/^HTTP\/1.1 413 /)
    await once(socket, 'close')
  })

  it('keeps the connection of a client whose JSON is broken', async (test) => {
    const server = await startServer(test)
    const answer = await post(server, '{"pulses": [')
    expect(answer.status).toBe(400)
    expect(answer.headers.get('connection')).not.toBe('close')
  })

  it('cuts a client that does not end the body it was refused', { timeout: 20_000 }, async (test) => {
    const server = await startServer(test, { limits: { lingerMs: 100 } })
    const head =
      'POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 200000000\r\n\r\n'
    expect(await raw(server, head, 'slowly')).toMatch(/^HTTP\/1.1 413 /)
  })

  it('refuses a client that asks first (Expect: 100-continue) without its body', async (test) => {
    const server = await startServer(test)
    const head =
      'POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 200000000\r\nconnection: close\r\n\r\n'
    const answer = await raw(server, head)
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
    expect(answer).not.toContain('100 Continue')
  })

  it('cuts a connection that never ends its headers or its body', async (test) => {
    const server = await startServer(test, { limits: { headersTimeoutMs: 300, requestTimeoutMs: 600 } })
    expect(await raw(server, 'POST /predict HTTP/1.1\r\nhost:')).toMatch(/^(HTTP\/1.1 408 |$)/)
    const head =
      'POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{'
    expect(await raw(server, head)).toMatch(/^(HTTP\/1.1 408 |$)/)
    expect((await post(server, { pulses: [pulse] })).status).toBe(200)
    await until(async () => (await metric(server, 'nustream_server_bodies_bytes')) === 0)
  })

  it('answers what is no HTTP with 400, and goes on', async (test) => {
    const server = await startServer(test)
    expect(await raw(server, '\u0000\u0001 garbage\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /)
    expect((await post(server, { pulses: [pulse] })).status).toBe(200)
  })

  it('refuses Arrow that is none, by name', async (test) => {
    const server = await startServer(test)
    for (const body of [Buffer.from('garbage'), Buffer.alloc(0), Buffer.alloc(1000, 255)]) {
      const response = await fetch(`${server.url}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/vnd.apache.arrow.stream' },
        body,
      })
      expect(response.status).toBe(400)
      expect((await jsonOf<Refusal>(response)).error.message).toContain('wire_unreadable')
    }
  })

  it('wants the right token for /predict and none for health and metrics', async (test) => {
    const server = await startServer(test, { token: 'secret' })
    for (const token of [undefined, 'secre', 'secrets', 'x'.repeat(10_000)]) {
      const response = await post(server, { pulses: [pulse] }, token ? { token } : {})
      expect(response.status).toBe(401)
      expect(response.headers.get('www-authenticate')).toContain('Bearer')
    }
    expect((await post(server, { pulses: [pulse] }, { token: 'secret' })).status).toBe(200)
    expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({
      ready: true,
      authorized: false,
    })
    expect((await fetch(`${server.url}/metrics`)).status).toBe(200)
  })

  it('answers 503 with Retry-After when the queue is full, and recovers', async (test) => {
    const gate = Promise.withResolvers<void>()
    const model = fakeModel({ concurrency: 1, before: () => gate.promise })
    const server = await startServer(test, { model, limits: { queueEventsMax: 3, batchEventsMax: 1 } })
    const asked = Array.from({ length: 20 }, (_, i) => post(server, { event_id: i, pulses: [pulse] }))
    await until(async () => (await metric(server, 'nustream_server_rejected_overload_total')) === 16)
    gate.resolve()
    const answers = await Promise.all(asked)
    const refused = answers.filter((response) => response.status === 503)
    expect(refused.length).toBe(16)
    for (const response of refused)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(answers.filter((response) => response.status === 200).length).toBe(4)
    expect((await post(server, { pulses: [pulse] })).status).toBe(200)
  })

  it('answers 503 when bodies would take more memory than they may', async (test) => {
    const gate = Promise.withResolvers<void>()
    const server = await startServer(test, {
      model: fakeModel({ before: () => gate.promise }),
      limits: { bodiesBytesMax: 100 },
    })
    const first = post(server, { event_id: 1, pulses: [pulse] })
    await until(async () => (await metric(server, 'nustream_server_bodies_bytes')) > 0)
    expect((await post(server, { event_id: 2, pulses: [pulse, pulse] })).status).toBe(503)
    gate.resolve()
    expect((await first).status).toBe(200)
  })

  it('answers 504 at the deadline, and the place is free again', async (test) => {
    const gate = Promise.withResolvers<void>()
    let aborted = false
    const model = fakeModel({
      concurrency: 1,
      before: async (batch, signal) => {
        signal?.addEventListener('abort', () => {
          aborted = true
        })
        if (batch.eventIds[0] === 1n) await gate.promise
      },
    })
    const server = await startServer(test, { model, limits: { deadlineMs: 200, batchEventsMax: 1 } })
    const [stuck, waiting] = await Promise.all([
      post(server, { event_id: 1, pulses: [pulse] }),
      post(server, { event_id: 2, pulses: [pulse] }),
    ])
    expect([stuck.status, waiting.status]).toEqual([504, 504])
    expect(aborted).toBe(true)
    expect(await metric(server, 'nustream_server_queued_events')).toBe(0)
    gate.resolve()
    expect((await post(server, { event_id: 3, pulses: [pulse] })).status).toBe(200)
  })

  it('frees the place of a client that goes away', async (test) => {
    const gate = Promise.withResolvers<void>()
    const seen: bigint[] = []
    const model = fakeModel({
      concurrency: 1,
      before: async (batch) => {
        seen.push(...batch.eventIds)
        await gate.promise
      },
    })
    const server = await startServer(test, { model, limits: { batchEventsMax: 1 } })
    const first = post(server, { event_id: 1, pulses: [pulse] })
    await until(() => seen.length === 1)
    const leaver = new AbortController()
    const gone = post(server, { event_id: 2, pulses: [pulse] }, { signal: leaver.signal }).catch(() => 'gone')
    await until(async () => (await metric(server, 'nustream_server_queued_events')) === 1)
    leaver.abort()
    expect(await gone).toBe('gone')
    await until(async () => (await metric(server, 'nustream_server_queued_events')) === 0)
    gate.resolve()
    expect((await first).status).toBe(200)
    expect(seen).toEqual([1n])
    expect(await metric(server, 'nustream_server_cancelled_total')).toBe(1)
  })

  it('finishes what is in flight when it closes, and takes nothing new', {
    timeout: 20_000,
  }, async (test) => {
    const gate = Promise.withResolvers<void>()
    let isAtWork = false
    const model = fakeModel({
      before: () => {
        isAtWork = true
        return gate.promise
      },
    })
    // Clients keep their connections, so only those that fall idle are ended.
    const server = await startServer(test, { model, limits: { closeWithinMs: 3_600_000 } })
    const body = JSON.stringify({ event_id: 1, pulses: [pulse] })
    const head = `POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    // Resolves when the server ends the connection, which this client would keep.
    const inFlight = raw(server, head, body)
    await until(() => isAtWork)
    const closed = server.close()
    await until(() =>
      post(server, { pulses: [pulse] }).then(
        (response) => response.status === 503,
        () => true,
      ),
    )
    gate.resolve()
    expect(await inFlight).toMatch(/^HTTP\/1.1 200 /)
    await closed
  })

  it('names the port that is taken and the remedy', async (test) => {
    const { port } = await startServer(test)
    const second = startServer(test, { port })
    await expect(second).rejects.toThrow(UsageError)
    await expect(second).rejects.toThrow(new RegExp(`port ${port}: another program listens there; .*--port`))
  })

  it('shows its interface offline, under a Content-Security-Policy', async (test) => {
    const server = await startServer(test)
    const page = await fetch(`${server.url}/docs`)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
    const html = await page.text()
    expect(html.match(/(src|href)="[^"]*"/g)?.filter((link) => /"(https?:)?\/\//.test(link))).toEqual([])
    const document = await jsonOf<{ paths: object }>(await fetch(`${server.url}/docs/json`))
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/predict', '/health', '/metrics', '/v2/models/{name}/infer']),
    )
  })
})
