import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, type TestContext } from 'vitest'
import { UnavailableError, UsageError } from '../../src/errors.ts'
import { type EventBatch, sliceEvents } from '../../src/event/event-batch.ts'
import { decodeEventBatch, encodeEventBatch } from '../../src/event/wire.ts'
import type { Inferrer } from '../../src/inference/inferrer.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { encodeAnswer } from '../../src/inference/remote/answer-wire.ts'
import { type HttpInferrerOptions, openHttpInferrer } from '../../src/inference/remote/http.ts'
import { range } from '../support/consuming.ts'
import { fakeModel } from '../support/fake-model.ts'
import { makeEvents } from '../support/plain-events.ts'
import { startServer } from '../support/start-server.ts'

async function open(test: TestContext, url: string, options: HttpInferrerOptions = {}): Promise<Inferrer> {
  const inferrer = await openHttpInferrer(url, options)
  test.onTestFinished(async () => void (await inferrer[Symbol.asyncDispose]()))
  return inferrer
}

/** A server that answers /predict as told, and whose /health is that of a model server. */
async function startStranger(test: TestContext, predict: RequestListener): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url === '/health') response.end(JSON.stringify({ model: 'odd', version: '1', ready: true }))
    else if (request.url === '/model') response.writeHead(404).end()
    else predict(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  test.onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  // Listening on a port, so its address is an AddressInfo.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(request))
}

const batch = makeEvents(5)

function answerFor(events: EventBatch): Uint8Array {
  const count = events.eventIds.length
  return encodeAnswer(events, {
    model: { name: 'odd', version: '1' },
    azimuth: new Float64Array(count).fill(1),
    zenith: new Float64Array(count).fill(1),
    kappa: new Float64Array(count).fill(Number.NaN),
    degenerate: new Uint8Array(count),
    faults: [],
  })
}

describe('openHttpInferrer()', () => {
  it('gives the directions that the model behind the server gives', async (test) => {
    await using model = await openLocalModel('linefit', { threads: 1 })
    const events = makeEvents(300, 1, { pulsesPerEvent: 40 })
    const server = await startServer(test, { model })
    const inferrer = await open(test, server.url)
    expect(inferrer.model).toEqual(model.model)
    expect(await inferrer.infer(events)).toEqual(await model.infer(events))
    await inferrer[Symbol.asyncDispose]()
    await server.close()
  })

  it('keeps one bad event to itself, wherever it was found out', async (test) => {
    const events = makeEvents(5)
    events.charges[events.offsets[1]] = Number.NaN // refused by the server's checks
    events.times[events.offsets[3]] = -1 // the fake model cannot do it
    const { url } = await startServer(test)
    const { faults, azimuth, kappa } = await (await open(test, url)).infer(events)
    expect(faults).toEqual([
      {
        index: 1,
        code: 'charge_not_finite',
        message: expect.stringContaining('event 2: pulse 0 has charge NaN'),
      },
      { index: 3, code: 'model_failed', message: 'too few pulses' },
    ])
    expect(Array.from(azimuth, Number.isNaN)).toEqual([false, true, false, true, false])
    expect(kappa[4]).toBe(events.times[events.offsets[4]])
  })

  it('answers a batch of which every event of thousands is bad', async (test) => {
    const events = makeEvents(16_000)
    events.charges.fill(-1)
    const { url } = await startServer(test)
    const { faults } = await (await open(test, url)).infer(events)
    expect(faults.map(({ code }) => code)).toEqual(Array(16_000).fill('charge_not_positive'))
  })

  it('takes a view of a larger batch', async (test) => {
    const { url } = await startServer(test)
    const inferrer = await open(test, url)
    const whole = await inferrer.infer(batch)
    const part = await inferrer.infer(sliceEvents(batch, 2, 4))
    expect(part.kappa).toEqual(whole.kappa.subarray(2, 4))
  })

  it('reports an unreachable server before it starts and after it stops, and continues once it is back', async (test) => {
    const first = await startServer(test)
    const { port, url } = first
    await first.close()
    const inferrer = await open(test, url)
    expect(inferrer.model.name).toBe('unknown')
    await expect(inferrer.infer(batch)).rejects.toMatchObject({
      code: 'model_unreachable',
      disposition: 'retry',
    })
    await expect(inferrer.ready()).rejects.toThrow(UnavailableError)

    const second = await startServer(test, { port })
    await inferrer.ready()
    expect((await inferrer.infer(batch)).faults).toEqual([])
    await second.close()
    await expect(inferrer.infer(batch)).rejects.toMatchObject({ code: 'model_unreachable' })

    await startServer(test, { port })
    // The connection kept from the server before is stale; that is noticed and not passed on.
    expect((await inferrer.infer(batch)).faults).toEqual([])
    expect(inferrer.model).toEqual({ name: 'fake', version: '7' })
  })

  it('asks again at once where a kept connection was closed under its request', async (test) => {
    const served = new WeakMap<object, number>()
    let closed = 0
    const url = await startStranger(test, (request, response) => {
      const before = served.get(request.socket) ?? 0
      served.set(request.socket, before + 1)
      if (before === 0) return void response.end(answerFor(batch))
      closed += 1
      request.socket.destroy()
    })
    const inferrer = await open(test, url, { concurrency: 1 })
    for (let i = 0; i < 3; i++) expect((await inferrer.infer(batch)).faults).toEqual([])
    expect(closed).toBe(2)
  })

  it('reports a server as unreachable that dies during an answer', async (test) => {
    const url = await startStranger(test, (_request, response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('half')
      void setTimeout(20).then(() => response.socket?.destroy())
    })
    await expect((await open(test, url)).infer(batch)).rejects.toMatchObject({ code: 'model_unreachable' })
  })

  it('gives up on a slow server at the deadline, and on request at once', async (test) => {
    const url = await startStranger(test, () => {})
    const inferrer = await open(test, url, { timeoutMs: 200 })
    await expect(inferrer.infer(batch)).rejects.toMatchObject({
      code: 'model_unreachable',
      message: expect.stringContaining('no answer within 200 ms'),
    })
    const abort = new AbortController()
    const asked = inferrer.infer(batch, { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
  })

  it('asks a server that is too slow for fewer events at once, and for more again when it is faster', async (test) => {
    let msPerEvent = 60
    const asked: number[] = []
    const before = async ({ eventIds }: EventBatch) => {
      asked.push(eventIds.length)
      await setTimeout(eventIds.length * msPerEvent)
    }
    const server = await startServer(test, { model: fakeModel({ before }) })
    const inferrer = await open(test, server.url, { timeoutMs: 1000 })
    const events = makeEvents(32)
    const reasons: string[] = []
    const inParts = await inferrer.infer(events, { onRetry: (reason) => void reasons.push(reason) })
    expect(inParts.faults).toEqual([])
    expect(new Set(reasons)).toEqual(new Set(['model_timeout']))
    expect(asked.at(-1)).toBeLessThan(32)
    msPerEvent = 0
    for (let i = 0; i < 4; i++) expect(await inferrer.infer(events)).toEqual(inParts)
    expect(asked.at(-1)).toBe(32)
    await inferrer[Symbol.asyncDispose]()
    await server.close()
  })

  it('takes a 504 for too slow a server', async (test) => {
    const asked: number[] = []
    const url = await startStranger(test, (request, response) => {
      asked.push(Number(request.headers['content-length']))
      response.writeHead(504).end()
    })
    const inferrer = await open(test, url, { timeoutMs: 500 })
    // Another event gets no answer either, so none is at fault.
    await expect(inferrer.infer(makeEvents(64))).rejects.toMatchObject({ code: 'model_overloaded' })
    const before = asked.length
    await expect(inferrer.infer(makeEvents(64))).rejects.toThrow('504')
    expect(asked[before]).toBeLessThan(asked[0])
  })

  it('passes on the Retry-After of an overloaded server', async (test) => {
    for (const status of [429, 503, 504]) {
      const url = await startStranger(test, (_request, response) => {
        response
          .writeHead(status, { 'retry-after': '7' })
          .end('{"error":{"code":"overloaded","message":"full"}}')
      })
      await expect((await open(test, url, { timeoutMs: 5_000 })).infer(batch)).rejects.toMatchObject({
        code: 'model_overloaded',
        disposition: 'retry',
        retryAfterSeconds: 7,
        message: expect.stringContaining('full'),
      })
    }
  })

  it('reports the full queue of the real server as overload', async (test) => {
    const gate = Promise.withResolvers<void>()
    const { url } = await startServer(test, { queue: { eventsMax: 5, before: () => gate.promise } })
    const inferrer = await open(test, url)
    const asked = Array.from({ length: 4 }, () => inferrer.infer(batch).catch((error: unknown) => error))
    await expect
      .poll(async () => (await Promise.race([...asked, undefined])) instanceof UnavailableError)
      .toBe(true)
    gate.resolve()
    expect((await Promise.all(asked)).filter((each) => each instanceof UnavailableError).length).toBe(2)
  })

  it('stops on a wrong token, at the opening and later', async (test) => {
    const { url } = await startServer(test, { tokens: ['secret'] })
    await expect(openHttpInferrer(url, { token: 'other' })).rejects.toMatchObject({ code: 'unauthorized' })
    await expect(openHttpInferrer(url)).rejects.toThrow(UsageError)
    const inferrer = await open(test, url, { token: 'secret' })
    expect((await inferrer.infer(batch)).faults).toEqual([])

    const forbidding = await startStranger(
      test,
      (_request, response) => void response.writeHead(403).end('no'),
    )
    await expect((await open(test, forbidding)).infer(batch)).rejects.toMatchObject({ code: 'unauthorized' })
  })

  it('refuses an invalid URL', async () => {
    for (const url of ['models/x', 'ftp://a/b', 'localhost:8500'])
      await expect(openHttpInferrer(url)).rejects.toThrow(UsageError)
  })

  const garbage = [
    { name: 'text', body: Buffer.from('<html>hello</html>') },
    { name: 'nothing', body: Buffer.alloc(0) },
    { name: 'events instead of directions', body: encodeEventBatch(batch) },
    { name: 'too few directions', body: answerFor(sliceEvents(batch, 0, 4)) },
    { name: 'too many directions', body: answerFor(makeEvents(6)) },
    { name: 'directions of other events', body: answerFor(makeEvents(5, 100)) },
    { name: 'half an answer', body: answerFor(batch).subarray(0, 500) },
  ]
  it.each(garbage)('takes $name for a failure of the model on the events asked for', async ({ body }) => {
    await using stack = new AsyncDisposableStack()
    const server = createServer((request, response) => {
      if (request.url === '/health') response.end(JSON.stringify({ model: 'odd', version: '1' }))
      else request.resume().on('end', () => response.end(body))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    stack.defer(() => void server.close())
    const inferrer = stack.use(
      await openHttpInferrer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    )
    const { faults } = await inferrer.infer(batch)
    expect(faults.map(({ index, code }) => [index, code])).toEqual(
      range(0, 4).map((i) => [i, 'model_failed']),
    )
    expect(faults[0].message).toMatch(/answer/)
  })

  it('finds the one event that the server refuses, and its neighbours get their answers', async (test) => {
    for (const status of [400, 413, 500]) {
      const url = await startStranger(test, async (request, response) => {
        const events = decodeEventBatch(await bodyOf(request))
        if (!events.eventIds.includes(4n)) return void response.end(answerFor(events))
        response.writeHead(status).end('{"error":{"code":"x","message":"internal error"}}')
      })
      const { faults, azimuth } = await (await open(test, url)).infer(batch)
      expect(faults).toEqual([
        {
          index: 3,
          code: 'model_failed',
          message: expect.stringMatching(
            /event alone: .* answered \d+: internal error \(a batch of 1 events\)/,
          ),
        },
      ])
      expect(Array.from(azimuth)).toEqual([1, 1, 1, Number.NaN, 1])
    }
  })

  it('finds the one event that the server never answers, and blames none while it answers no event', async (test) => {
    let isStuck = false
    const url = await startStranger(test, async (request, response) => {
      const events = decodeEventBatch(await bodyOf(request))
      if (!isStuck && !events.eventIds.includes(2n)) response.end(answerFor(events))
    })
    const inferrer = await open(test, url, { timeoutMs: 150 })
    const { faults } = await inferrer.infer(batch)
    expect(faults).toMatchObject([
      { index: 1, code: 'model_failed', message: expect.stringContaining('does not answer for this event') },
    ])
    isStuck = true
    await expect(inferrer.infer(batch)).rejects.toMatchObject({ code: 'model_unreachable' })
  })

  it('makes a fault of each invalid direction', async (test) => {
    const url = await startStranger(test, (_request, response) => {
      const inference = {
        model: { name: 'odd', version: '2' },
        azimuth: Float64Array.of(1, Number.NaN, 1, 7, 1),
        zenith: Float64Array.of(1, 1, -0.1, 1, Number.POSITIVE_INFINITY),
        kappa: new Float64Array(5),
        degenerate: new Uint8Array(5),
        faults: [],
      }
      response.end(encodeAnswer(batch, inference))
    })
    const inferrer = await open(test, url)
    const { faults, azimuth } = await inferrer.infer(batch)
    expect(faults.map(({ index, code }) => [index, code])).toEqual(
      [1, 2, 3, 4].map((i) => [i, 'model_output_invalid']),
    )
    expect(azimuth[0]).toBe(1)
    expect(inferrer.model).toEqual({ name: 'odd', version: '2' })
  })

  it('asks in parts for a batch that is too large for the server', async (test) => {
    const { url } = await startServer(test, { limits: { binaryBodyBytesMax: 1_000_000 } })
    const inferrer = await open(test, url)
    for (let i = 0; i < 3; i++) {
      const large = inferrer.infer(makeEvents(1000, 1, { pulsesPerEvent: 400 }))
      expect((await large).faults).toEqual([])
      expect((await inferrer.infer(batch)).faults).toEqual([])
    }
  })

  it('starts the clock of a request when it has a connection', async (test) => {
    let underWay = 0
    let underWayMax = 0
    const url = await startStranger(test, async (request, response) => {
      underWayMax = Math.max(underWayMax, ++underWay)
      const events = decodeEventBatch(await bodyOf(request))
      await setTimeout(200)
      underWay--
      response.end(answerFor(events))
    })
    const inferrer = await open(test, url, { concurrency: 1, timeoutMs: 500 })
    const reasons: string[] = []
    const onRetry = (reason: string) => void reasons.push(reason)
    await Promise.all(range(1, 8).map((id) => inferrer.infer(makeEvents(1, id), { onRetry })))
    expect(underWayMax).toBe(2)
    expect(reasons).toEqual([])
  })

  it('asks several batches at once, each with its own answer', async (test) => {
    const { url } = await startServer(test)
    const inferrer = await open(test, url, { concurrency: 3 })
    const batches = Array.from({ length: 40 }, (_, i) => makeEvents(3 + (i % 5), 1 + 100 * i))
    const answers = await Promise.all(batches.map((each) => inferrer.infer(each)))
    for (const [i, { kappa }] of answers.entries()) {
      const { times, offsets } = decodeEventBatch(encodeEventBatch(batches[i]))
      expect(Array.from(kappa)).toEqual(Array.from(offsets.subarray(0, -1), (from) => times[from]))
    }
  })
})
