import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { jsonOf, metric, post, pulse, raw } from '../support/ask-server.ts'
import { fakeModel } from '../support/fake-model.ts'
import { makeEvents } from '../support/plain-events.ts'
import { startServer, type TestServer } from '../support/start-server.ts'
import { until } from '../support/until.ts'

/** Sends a body of zeros from one small buffer; the answer, and how much was sent when it came. */
async function pour(
  server: TestServer,
  type: string,
  bytes: number,
): Promise<{ text: string; sentBytes: number }> {
  const socket = connect(server.port, '127.0.0.1')
  const answered = once(socket, 'data')
  socket.write(
    `POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\ncontent-length: ${bytes}\r\nconnection: close\r\n\r\n`,
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

  it('merges requests that wait, and a bad event fails no other', async (test) => {
    const gate = Promise.withResolvers<void>()
    const jobs: (readonly number[])[] = []
    const server = await startServer(test, {
      queue: {
        before: async (times) => {
          jobs.push(times)
          await gate.promise
        },
      },
    })
    const at = (time: number) => ({ event_id: time, pulses: [{ ...pulse, time }] })
    const first = post(server, { events: [at(1), at(2)] })
    await until(() => jobs.length === 1)
    const others = [
      post(server, at(3)),
      post(server, { ...at(13), pulses: [{ ...pulse, charge: -1 }] }),
      post(server, { events: [{ pulses: [] }, at(4), at(-1), at(5)] }),
      post(server, at(6)),
    ]
    await until(async () => (await metric(server, 'nustream_server_queued_events')) === 5)
    gate.resolve()
    const [one, two, bad, many, last] = await Promise.all([first, ...others])
    // The kappa of the fake model is the time of the first pulse, so an answer that went to another caller shows.
    expect(await one.json()).toMatchObject({
      predictions: [
        { event_id: 1, kappa: 1 },
        { event_id: 2, kappa: 2 },
      ],
    })
    expect(await two.json()).toMatchObject({ event_id: 3, kappa: 3, zenith: 0.001 })
    expect(bad.status).toBe(400)
    expect(await many.json()).toMatchObject({
      predictions: [
        { error: { code: 'event_without_pulses' } },
        { event_id: 4, kappa: 4 },
        { event_id: -1, error: { code: 'model_failed' } },
        { event_id: 5, kappa: 5 },
      ],
    })
    expect(await last.json()).toMatchObject({ event_id: 6, kappa: 6 })
    expect(jobs).toEqual([
      [1, 2],
      [3, 4, -1, 5, 6],
    ])
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
      'POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n'
    const chunk = `186a0\r\n${'1'.repeat(100_000)}\r\n`
    const answer = await raw(server, head, ...Array(20).fill(chunk), '0\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
  })

  it('reads a refused body of no stated size to its end, so that its 413 is not lost in a reset', async (test) => {
    const server = await startServer(test, { limits: { jsonBodyBytesMax: 100_000 } })
    const socket = connect(server.port, '127.0.0.1')
    const answered = once(socket, 'data')
    socket.write(
      'POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
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
      'POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 200000000\r\n\r\n'
    expect(await raw(server, head, 'slowly')).toMatch(/^HTTP\/1.1 413 /)
  })

  it('refuses a client that asks first (Expect: 100-continue) without its body', async (test) => {
    const server = await startServer(test)
    const head =
      'POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 200000000\r\nconnection: close\r\n\r\n'
    const answer = await raw(server, head)
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
    expect(answer).not.toContain('100 Continue')
  })

  it('cuts a connection that never ends its headers or its body', async (test) => {
    const server = await startServer(test, { limits: { headersTimeoutMs: 300, requestTimeoutMs: 600 } })
    expect(await raw(server, 'POST /predict HTTP/1.1\r\nhost:')).toMatch(/^(HTTP\/1.1 408 |$)/)
    const head =
      'POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{'
    expect(await raw(server, head)).toMatch(/^(HTTP\/1.1 408 |$)/)
    expect((await post(server, { pulses: [pulse] })).status).toBe(200)
    await until(async () => (await metric(server, 'nustream_server_bodies_bytes')) === 0)
  })

  it('answers bytes that are not HTTP with 400, and continues', async (test) => {
    const server = await startServer(test)
    expect(await raw(server, '\u0000\u0001 garbage\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /)
    expect((await post(server, { pulses: [pulse] })).status).toBe(200)
  })

  it('refuses invalid Arrow, by name', async (test) => {
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
    const server = await startServer(test, { tokens: ['secret'] })
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
    const server = await startServer(test, { queue: { eventsMax: 3, before: () => gate.promise } })
    const first = post(server, { pulses: [pulse] })
    await until(async () => (await metric(server, 'nustream_server_batch_events_count{work="events"}')) === 1)
    const asked = Array.from({ length: 19 }, (_, i) => post(server, { event_id: i, pulses: [pulse] }))
    await until(async () => (await metric(server, 'nustream_server_rejected_overload_total')) === 16)
    gate.resolve()
    const answers = await Promise.all([first, ...asked])
    const refused = answers.filter((response) => response.status === 503)
    expect(refused.length).toBe(16)
    for (const response of refused) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect((await jsonOf<Refusal>(response)).error.code).toBe('overloaded')
    }
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
    const server = await startServer(test, {
      queue: { deadlineMs: 200, before: ([first]) => (first === 1 ? gate.promise : undefined) },
    })
    const at = (time: number) => post(server, { pulses: [{ ...pulse, time }] })
    const stuck = at(1)
    await until(async () => (await metric(server, 'nustream_server_batch_events_count{work="events"}')) === 1)
    const late = await Promise.all([stuck, at(2)])
    for (const response of late) {
      expect(response.status).toBe(504)
      expect(response.headers.get('retry-after')).toBe('1')
      expect(await response.json()).toEqual({
        error: { code: 'deadline_exceeded', message: 'no answer within 200 ms' },
      })
    }
    expect(await metric(server, 'nustream_server_queued_events')).toBe(0)
    gate.resolve()
    expect((await at(3)).status).toBe(200)
  })

  it('frees the place of a client that goes away', async (test) => {
    const gate = Promise.withResolvers<void>()
    const seen: number[] = []
    const server = await startServer(test, {
      queue: {
        before: async (times) => {
          seen.push(...times)
          await gate.promise
        },
      },
    })
    const at = (time: number, signal?: AbortSignal) =>
      post(server, { pulses: [{ ...pulse, time }] }, signal ? { signal } : {})
    const first = at(1)
    await until(() => seen.length === 1)
    const leaver = new AbortController()
    const gone = at(2, leaver.signal).catch(() => 'gone')
    await until(async () => (await metric(server, 'nustream_server_queued_events')) === 1)
    leaver.abort()
    expect(await gone).toBe('gone')
    await until(async () => (await metric(server, 'nustream_server_queued_events')) === 0)
    gate.resolve()
    expect((await first).status).toBe(200)
    expect(seen).toEqual([1])
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
    const head = `POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
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
