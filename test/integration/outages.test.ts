import { describe, expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { freePort } from '../support/free-port.ts'
import { startNustream } from '../support/nustream.ts'
import { type Owner, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const OUTAGE_MS = 60_000
const EVENTS = 4_000

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Emitter, model server and consumer over Redis, at a rate that leaves time to break something. */
async function startStream(owner: Owner) {
  const servePort = await freePort()
  const redis = await startRedis(owner)
  const broker = ['--broker', redis.url, '--port', '0']
  const startServer = () =>
    startNustream(['serve', '--model', 'linefit', '--port', `${servePort}`, '--threads', '1'], owner)
  const server = startServer()
  const model = ['--model', `http://127.0.0.1:${servePort}`]
  await until(() => server.stdout().includes('serving'), { withinMs: 90_000, what: 'the model server' })
  const consume = startNustream(['consume', ...broker, ...model], owner)
  const flags = ['--source', 'sim:9', '--events', `${EVENTS}`, '--rate', '400', '--batch', '64']
  const emit = startNustream(['emit', ...flags, ...broker], owner)
  const totals = async () => {
    await using reader = await openBroker(redis.url)
    return reader.totals()
  }
  await until(async () => (await totals()).predicted > 0, { withinMs: 90_000, what: 'the first prediction' })
  return { redis, server, startServer, consume, emit, totals }
}

describe.concurrent('an outage of a minute loses nothing and ends nobody', () => {
  it('when the model server is gone', async ({ onTestFinished }) => {
    const stream = await startStream({ onTestFinished })
    await stream.server.kill('SIGKILL')
    const before = await stream.totals()
    await pause(OUTAGE_MS)
    expect((await stream.totals()).deadLettered).toBe(0)
    expect((await stream.totals()).predicted).toBeLessThan(before.predicted + 1_000)
    stream.startServer()
    await until(async () => (await stream.totals()).predicted === EVENTS, {
      withinMs: 90_000,
      what: 'the rest',
    })
    expect(await stream.totals()).toEqual({ emitted: EVENTS, predicted: EVENTS, deadLettered: 0 })
    expect(stream.consume.child.exitCode).toBeNull()
  })

  it('when Redis is gone', async ({ onTestFinished }) => {
    const stream = await startStream({ onTestFinished })
    await stream.redis.kill9()
    await pause(OUTAGE_MS)
    expect(stream.consume.child.exitCode).toBeNull()
    expect(stream.emit.child.exitCode).toBeNull()
    await stream.redis.restart()
    await until(async () => (await stream.totals()).predicted === EVENTS, {
      withinMs: 90_000,
      what: 'the rest',
    })
    expect(await stream.totals()).toEqual({ emitted: EVENTS, predicted: EVENTS, deadLettered: 0 })
    expect(await stream.emit.ended).toBe(0)
  })
})
