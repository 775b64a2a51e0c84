import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { brokerMetrics } from '../../src/broker/metrics.ts'
import { openBroker } from '../../src/broker/open.ts'
import type { OpenOptions } from '../../src/broker/options.ts'
import { batch, bytes, ids, predicted, settleAll, storedNow, take } from '../conformance/broker/support.ts'
import { temporaryFolder } from '../support/broker-backends.ts'
import { collectLog } from '../support/log-lines.ts'
import { startNustream } from '../support/nustream.ts'
import { type Owner, type RedisServer, startRedis } from '../support/redis.ts'
import { redisCommand } from '../support/redis-command.ts'
import { until } from '../support/until.ts'

const BATCHES = 'nustream:{p0}:batches'

async function open(t: Owner, redis: RedisServer, options: OpenOptions = {}) {
  const broker = await openBroker(redis.url, { retryMaxMs: 50, commandTimeoutMs: 1_000, ...options })
  t.onTestFinished(() => broker.close())
  return broker
}

async function metricOf(registry: Registry, name: string, label: string): Promise<number | undefined> {
  const metrics = await registry.getMetricsAsJSON()
  const found = metrics.find((metric) => metric.name === name)
  return found?.values.find(({ labels }) => Object.values(labels).includes(label))?.value as
    | number
    | undefined
}

describe('a Redis that is full', () => {
  it('is not ready, and every retry is counted as out_of_memory', async (t) => {
    const redis = await startRedis(t, { args: ['--maxmemory-policy', 'noeviction'] })
    const registry = new Registry()
    const broker = await open(t, redis, { observer: brokerMetrics(registry), inspectMs: 20 })
    await broker.publish(batch('b1'))
    await broker.checkWritable()
    const retries = () => metricOf(registry, 'nustream_broker_retries_total', 'out_of_memory')
    expect(await retries()).toBe(0)
    await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '1')
    const publishing = broker.publish(batch('b2'))
    await until(async () => ((await retries()) ?? 0) > 1)
    await expect(broker.checkWritable()).rejects.toMatchObject({
      code: 'broker_refuses_writes',
      message: /would not store a batch now: OOM/,
    })
    // It answers, and is drained by consuming.
    await broker.ping()
    expect(await settleAll(broker, 1)).toEqual(['b1'])
    await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '100mb')
    expect(await publishing).toBe('stored')
    await broker.checkWritable()
  })

  it('makes every role unready, and each counts its retries', { timeout: 60_000 }, async (t) => {
    const redis = await startRedis(t, { args: ['--maxmemory-policy', 'noeviction'] })
    const start = (...args: string[]) => {
      const role = startNustream([...args, '--broker', redis.url, '--port', '0', '--host', '127.0.0.1'], t)
      const url = () => /"url":"(http:[^"]+)"/.exec(role.stderr())?.[1]
      return { url: () => until(url, { withinMs: 40_000, what: `an address: ${role.stderr()}` }) }
    }
    const emitter = start('emit', '--source', 'sim:1', '--rate', '100')
    const archive = start('archive', '--out', join(temporaryFolder(t), 'archive'))
    const urls = [await emitter.url(), await archive.url()]
    const statuses = () => Promise.all(urls.map(async (url) => (await fetch(`${url}/health`)).status))
    await until(async () => (await statuses()).every((status) => status === 200))
    await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '1')
    await until(async () => (await statuses()).every((status) => status === 503), {
      what: 'roles that are unready',
    })
    const retries = async () => {
      const page = await (await fetch(`${urls[0]}/metrics`)).text()
      return Number(/nustream_broker_retries_total\{reason="out_of_memory"\} (\d+)/.exec(page)?.[1])
    }
    await until(async () => (await retries()) > 1)
    const { details } = (await (await fetch(`${urls[0]}/health`)).json()) as { details: { broker: string } }
    expect(details.broker).toMatch(/would not store a batch now: OOM/)
    await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '0')
    await until(async () => (await statuses()).every((status) => status === 200))
  })

  it('shows its memory, its role and its replicas', async (t) => {
    const redis = await startRedis(t, { args: ['--maxmemory', '200mb', '--maxmemory-policy', 'noeviction'] })
    const registry = new Registry()
    const broker = await open(t, redis, { observer: brokerMetrics(registry), inspectMs: 20 })
    const value = (name: string) => metricOf(registry, name, `127.0.0.1:${redis.port}`)
    await until(async () => (await value('nustream_redis_memory_max_bytes')) === 200 * 1024 * 1024)
    expect(await value('nustream_redis_memory_used_bytes')).toBeGreaterThan(100_000)
    expect(await value('nustream_redis_persistence_failing')).toBe(0)
    expect(await value('nustream_redis_primary')).toBe(1)
    expect(await value('nustream_redis_connected_replicas')).toBe(0)
    await startRedis(t, { args: ['--replicaof', `127.0.0.1 ${redis.port}`] })
    await until(async () => (await value('nustream_redis_connected_replicas')) === 1, { withinMs: 20_000 })
    await broker.close()
    expect(await value('nustream_redis_primary')).toBeUndefined()
  })

  it('reports that it cannot write to its disk', async (t) => {
    const redis = await startRedis(t)
    const registry = new Registry()
    const broker = await open(t, redis, { observer: brokerMetrics(registry), inspectMs: 20 })
    await redisCommand(redis.url, 'CONFIG', 'SET', 'save', '3600 1')
    rmSync(redis.dir, { recursive: true })
    await redisCommand(redis.url, 'BGSAVE')
    const failing = () => metricOf(registry, 'nustream_redis_persistence_failing', `127.0.0.1:${redis.port}`)
    await until(async () => (await failing()) === 1)
    await expect(broker.checkWritable()).rejects.toMatchObject({ message: /MISCONF/ })
  })
})

it('rides out a password that is changed while it runs', async (t) => {
  const redis = await startRedis(t)
  const registry = new Registry()
  await redisCommand(redis.url, 'ACL', 'SETUSER', 'stream', 'on', '>old', '~*', '+@all')
  const url = redis.url.replace('//', '//stream:old@')
  const broker = await openBroker(url, { retryMaxMs: 50, observer: brokerMetrics(registry) })
  t.onTestFinished(() => broker.close())
  await broker.publish(batch('b1'))
  await redisCommand(redis.url, 'ACL', 'SETUSER', 'stream', 'resetpass', '>new')
  await redisCommand(redis.url, 'CLIENT', 'KILL', 'USER', 'stream')
  const publishing = broker.publish(batch('b2'))
  const refused = () => metricOf(registry, 'nustream_broker_retries_total', 'unauthorized')
  await until(async () => ((await refused()) ?? 0) > 1)
  await redisCommand(redis.url, 'ACL', 'SETUSER', 'stream', '>old')
  expect(await publishing).toBe('stored')
})

describe('unread batches that another program deletes', () => {
  it.each(['XDEL', 'XTRIM'])('by %s no longer wait, and the lag is true again', async (how) => {
    await using redis = await startRedis()
    await using broker = await openBroker(redis.url, { upkeepMs: 20 })
    for (let i = 0; i < 30; i++) await broker.publish(batch(`b${i}`))
    const settled = await settleAll(broker, 5, { leasesMax: 1 })
    if (how === 'XTRIM') await redisCommand(redis.url, 'XTRIM', BATCHES, 'MAXLEN', '10')
    else {
      const entries = (await redisCommand(redis.url, 'XRANGE', BATCHES, '-', '+', 'COUNT', '10')) as [
        string,
      ][]
      for (const [id] of entries) await redisCommand(redis.url, 'XDEL', BATCHES, String(id))
    }
    const left = Number(await redisCommand(redis.url, 'XLEN', BATCHES))
    expect((await broker.backlog()).unreadBatches).toBeLessThanOrEqual(left)
    const reading = new AbortController()
    const consuming = (async () => {
      const options = { consumer: 'c1', leasesMax: 4, signal: reading.signal }
      for await (const delivery of broker.deliveries(options)) {
        await broker.settle(delivery, predicted(delivery))
        settled.push(delivery.batchId)
      }
    })()
    await until(async () => (await redisCommand(redis.url, 'XLEN', BATCHES)) === 0)
    expect(await broker.backlog()).toEqual({ unreadBatches: 0, leasedBatches: 0, events: 0, oldestAgeMs: 0 })
    await until(async () => (await groupField(redis, 'lag')) === 0)
    expect(await redisCommand(redis.url, 'HGET', 'nustream:{p0}:totals', 'waiting').then(Number)).toBe(0)
    reading.abort()
    await consuming
    for (const id of ['later 1', 'later 2', 'later 3']) await broker.publish(batch(id))
    expect(await broker.backlog()).toMatchObject({ unreadBatches: 3, leasedBatches: 0, events: 12 })
    expect(await groupField(redis, 'lag')).toBe(3)
    expect(await settleAll(broker, 3)).toEqual(['later 1', 'later 2', 'later 3'])
  })
})

/** A field of XINFO GROUPS of the one group. */
async function groupField(redis: RedisServer, name: string): Promise<unknown> {
  const [group] = (await redisCommand(redis.url, 'XINFO', 'GROUPS', BATCHES)) as unknown[][]
  return group[group.map(String).indexOf(name) + 1]
}

describe('what other programs write', () => {
  it('into the heartbeats is ignored, with one line in the log', async (t) => {
    const redis = await startRedis(t)
    const { log, lines } = collectLog()
    const broker = await open(t, redis, { log })
    await broker.beat({ role: 'consumer', instance: 'c1', everyMs: 60_000, url: undefined })
    const now = Date.now()
    const garbage = ['garbage', '123', `${now} {}`, `${now} [`, `${now} {"role":1,"everyMs":1}`, '']
    for (const [i, value] of garbage.entries())
      await redisCommand(redis.url, 'HSET', 'nustream:{p0}:heartbeats', `field ${i}`, value)
    for (let i = 0; i < 3; i++)
      expect((await broker.heartbeats()).map(({ instance }) => instance)).toEqual(['c1'])
    const told = lines.filter((line) => line.includes('is no heartbeat'))
    expect(told.map((line) => JSON.parse(line).field).toSorted()).toEqual(garbage.map((_, i) => `field ${i}`))
  })

  it.each([
    ['1000000000000000', '1000000000000000'],
    ['4', '1000000000000000'],
    ['11', '11'],
  ])(
    'as the count of a batch (%s events, %s counted) does not make the totals negative',
    async (events, counted) => {
      await using redis = await startRedis()
      await using broker = await openBroker(redis.url)
      const fields = ['batch_id', 'foreign', 'batch', 'arrow bytes', 'events', events, 'counted', counted]
      await redisCommand(redis.url, 'XADD', BATCHES, '*', ...fields)
      await broker.publish(batch('b1'))
      for (const delivery of await take(broker, 2)) {
        expect(delivery.events).toBeLessThan(100)
        await broker.settle(delivery, { predictions: bytes('p'), predicted: 4, deadLetters: [] })
        const { emitted, predicted } = await broker.totals()
        expect(emitted).toBeGreaterThanOrEqual(predicted)
      }
      expect(await broker.totals()).toEqual({ emitted: 8, predicted: 8, deadLettered: 0 })
      expect(await broker.backlog()).toMatchObject({ unreadBatches: 0, events: 0 })
    },
  )

  it('as a batch id is never changed: ids that are no text stay apart, and say so', async (t) => {
    const redis = await startRedis(t)
    const broker = await open(t, redis)
    for (let i = 0; i < 100; i++) {
      const id = Buffer.from([0xff, 0x80 + (i % 64), 0x80 + (i >> 6)])
      await redisCommand(
        redis.url,
        'XADD',
        BATCHES,
        '*',
        'batch_id',
        id,
        'batch',
        'arrow bytes',
        'events',
        '4',
      )
    }
    await redisCommand(redis.url, 'XADD', BATCHES, '*', 'batch_id', 'x'.repeat(513), 'batch', 'b')
    const taken = await take(broker, 101, { leasesMax: 200 })
    expect(new Set(ids(taken)).size).toBe(101)
    expect(taken.slice(0, 100).every(({ fault }) => fault?.code === 'batch_id_invalid')).toBe(true)
    expect(taken[0].fault?.message).toBe('batch_id is not UTF-8 (it begins with the bytes ff8080)')
    expect(taken[100].fault?.message).toMatch(/^batch_id has 513 bytes; at most 512 are allowed/)
  })
})

it('a Redis that is flushed while it is in use holds another stream, with another id', async (t) => {
  const redis = await startRedis(t)
  const broker = await open(t, redis)
  const old = await broker.streamId()
  await broker.publish(batch('b1'))
  await settleAll(broker, 1)
  await redisCommand(redis.url, 'FLUSHALL')
  await broker.publish(batch('b2'))
  await settleAll(broker, 1)
  await broker.holdPredictions('archive', new Map())
  expect(await broker.streamId()).not.toBe(old)
  expect(ids(await storedNow(broker))).toEqual(['b2'])
})
