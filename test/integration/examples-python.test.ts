import { pino } from 'pino'
import { Registry } from 'prom-client'
import { createClient, RESP_TYPES } from 'redis'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import { consume } from '../../src/consumer/consume.ts'
import { consumerMetrics } from '../../src/consumer/metrics.ts'
import { decodeEventBatch } from '../../src/event/wire.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { NO_PYTHON, openPython, runPython } from '../support/python.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const python = (await openPython()) ?? ''
const EVENTS = 40

/** A consumer with the line fit; it stops with the test. Gives its broker. */
async function startConsumer(url: string, test: TestContext): Promise<Broker> {
  const broker = await openBroker(url)
  const inferrer = await openLocalModel('linefit', { threads: 1 })
  const stop = new AbortController()
  const consuming = consume({
    broker,
    inferrer,
    consumer: 'C1',
    leasesMax: 4,
    attemptsMax: 3,
    metrics: consumerMetrics(new Registry()),
    log: pino({ level: 'silent' }),
    signal: stop.signal,
  })
  test.onTestFinished(async () => {
    stop.abort()
    await consuming
    await inferrer[Symbol.asyncDispose]()
    await broker.close()
  })
  return broker
}

function example(name: string, url: string, events = EVENTS): Promise<Buffer> {
  return runPython(python, [`examples/python/${name}.py`, url, String(events)])
}

describe('examples/python', () => {
  beforeEach((t) => t.skip(!python, NO_PYTHON))

  it('publish events and read one prediction for each, with its direction', async (test) => {
    const { url } = await startRedis(test)
    const broker = await startConsumer(url, test)
    await example('publish', url)
    const lines = String(await example('read_predictions', url))
      .trim()
      .split('\n')
    const read = lines.map((line) =>
      /^event (\d+): zenith (\S+), azimuth \S+ \(linefit, (\S+) rad from the truth\)$/
        .exec(line)
        ?.slice(1)
        .map(Number),
    )
    expect(read.map((row) => row?.[0]).toSorted((a = 0, b = 0) => a - b)).toEqual(
      Array.from({ length: EVENTS }, (_, i) => i + 1),
    )
    // They are muons straight down or up, which is what a line fit is for.
    for (const [, zenith = Number.NaN, error] of read.map((row) => row ?? [])) {
      expect(error).toBeLessThan(0.05)
      expect(Math.min(zenith, Math.PI - zenith)).toBeCloseTo(error, 2)
    }
    expect(await broker.totals()).toMatchObject({ predicted: EVENTS, deadLettered: 0 })
  })

  it('may publish a batch twice under one id: it is predicted once', async (test) => {
    const { url } = await startRedis(test)
    await example('publish', url)
    const client = createClient({
      url,
      commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
    })
    await client.connect()
    test.onTestFinished(() => client.close())
    const [first] = (await client.xRange('nustream:{p0}:batches', '-', '+')) ?? []
    const { batch_id, batch } = first.message
    expect(decodeEventBatch(batch).eventIds).toHaveLength(EVENTS)
    // A foreign producer may leave out what is optional.
    await client.xAdd('nustream:{p0}:batches', '*', { batch_id, batch })
    await example('publish', url, 1)

    const broker = await startConsumer(url, test)
    const isIdle = async () => {
      const { unreadBatches, leasedBatches } = await broker.backlog()
      return unreadBatches + leasedBatches === 0
    }
    await until(isIdle, { withinMs: 30_000, what: 'the end of the backlog' })
    expect((await broker.totals()).predicted).toBe(EVENTS + 1)
    expect(await client.xLen('nustream:{p0}:predictions')).toBe(2)
  })
})
