import { expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import type { OpenOptions } from '../../src/broker/options.ts'
import {
  batch,
  bytes,
  ids,
  predicted,
  readStored,
  settleAll,
  take,
  text,
} from '../conformance/broker/support.ts'
import { collectLog } from '../support/log-lines.ts'
import { type Owner, type RedisServer, startRedis } from '../support/redis.ts'
import { redisCommand } from '../support/redis-command.ts'
import { until } from '../support/until.ts'

const QUICK = { retryMaxMs: 50, commandTimeoutMs: 1_000 }
const BATCHES = 'nustream:{p0}:batches'

async function open(t: Owner, redis: RedisServer, options: OpenOptions = {}) {
  const broker = await openBroker(redis.url, { ...QUICK, ...options })
  t.onTestFinished(() => broker.close())
  return broker
}

it('loses and repeats nothing while Redis is killed again and again under traffic', async (t) => {
  const redis = await startRedis(t)
  const [emitter, consumer] = [await open(t, redis), await open(t, redis, { visibilityMs: 500 })]
  const total = 300
  const consuming = settleAll(consumer, total, { withinMs: 60_000, leasesMax: 8 })
  const emitting = (async () => {
    for (let sequence = 1; sequence <= total; sequence++) {
      const position = { run: 'r', sequence, resume: `${sequence}`, emitted: sequence * 4, done: false }
      expect(await emitter.publish(batch(`b${sequence}`), position)).toBe('stored')
    }
  })()
  for (let kill = 0; kill < 6; kill++) {
    const before = (await emitter.totals()).predicted
    await until(async () => (await emitter.totals()).predicted >= Math.min(before + 40, total * 4))
    await redis.kill9()
    await redis.restart()
  }
  await emitting
  const settled = await consuming
  expect(new Set(settled).size).toBe(total)
  expect(await emitter.totals()).toEqual({ emitted: total * 4, predicted: total * 4, deadLettered: 0 })
  expect(new Set(ids(await readStored(emitter, total))).size).toBe(total)
  expect(await redisCommand(redis.url, 'XLEN', 'nustream:{p0}:predictions')).toBe(total)
})

it('waits for a Redis that is down, with one line in ten seconds', async (t) => {
  const redis = await startRedis(t)
  const { log, lines } = collectLog()
  const broker = await open(t, redis, { log })
  await broker.publish(batch('b1'))
  const [delivery] = await take(broker, 1)
  await redis.kill9()
  const settling = broker.settle(delivery, predicted(delivery))
  const publishing = broker.publish(batch('b2'))
  const totals = broker.totals()
  await until(() => lines.some((line) => line.includes('broker not usable')))
  await expect(broker.ping()).rejects.toMatchObject({ code: 'broker_unreachable' })
  const away = new Promise((resolve) => setTimeout(resolve, 2_000))
  await away
  await redis.restart()
  expect(await settling).toBe('settled')
  expect(await publishing).toBe('stored')
  await totals
  expect(await settleAll(broker, 1)).toEqual(['b2'])
  expect(lines.filter((line) => line.includes('broker not usable')).length).toBe(1)
})

it('waits for a Redis that does not answer', async (t) => {
  const redis = await startRedis(t)
  const broker = await open(t, redis, { commandTimeoutMs: 200, connectTimeoutMs: 200 })
  await broker.publish(batch('b1'))
  redis.pause()
  const publishing = broker.publish(batch('b2'))
  await expect(broker.ping()).rejects.toMatchObject({ code: 'broker_unreachable' })
  redis.resume()
  expect(await publishing).toMatch(/stored|repeat/)
  const settled = await settleAll(broker, 2)
  expect(settled.toSorted()).toEqual(['b1', 'b2'])
  // The answer to the first try may have been lost: the batch is in the stream twice then, and predicted once.
  await until(async () => (await broker.totals()).emitted === 8 || (await settleAll(broker, 1)).length > 0)
  expect(await broker.totals()).toEqual({ emitted: 8, predicted: 8, deadLettered: 0 })
})

it('closes promptly while Redis is down', async (t) => {
  const redis = await startRedis(t)
  const broker = await open(t, redis)
  await broker.publish(batch('b1'))
  await take(broker, 1)
  await redis.kill9()
  const waiting = broker.publish(batch('b2'))
  const refused = expect(waiting).rejects.toMatchObject({ code: 'broker_unreachable' })
  await broker.close()
  await refused
})

it('refuses to publish when Redis is full, and recovers by consuming', async (t) => {
  const redis = await startRedis(t, { args: ['--maxmemory', '20mb', '--maxmemory-policy', 'noeviction'] })
  const { log, lines } = collectLog()
  const [emitter, consumer] = [await open(t, redis, { log }), await open(t, redis)]
  const total = 80
  const payload = crypto.getRandomValues(new Uint8Array(60_000))
  let published = 0
  const emitting = (async () => {
    for (let i = 0; i < total * 8; i++) {
      await emitter.publish({ ...batch(`b${i}`), payload })
      published++
    }
  })()
  await until(() => lines.some((line) => line.includes('OOM')))
  expect(published).toBeLessThan(total * 8)
  // A little over the limit for good, not just while a batch is on its way in.
  await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '16mb')
  // While it is full: the first consumer of all makes its group, an archive notes what it has taken, parts beat.
  expect(await redisCommand(redis.url, 'SET', 'k', 'v').catch(String)).toMatch(/OOM/)
  await consumer.holdPredictions('archive', new Map())
  await consumer.beat({ role: 'consumer', instance: 'c1', everyMs: 1_000, url: undefined })
  const settled = await settleAll(consumer, total * 8, { withinMs: 60_000 })
  await emitting
  expect(new Set(settled).size).toBe(total * 8)
  expect((await consumer.totals()).predicted).toBe(total * 8 * 4)
})

it('continues after FLUSHALL, and after the stream or its group was deleted', async (t) => {
  const redis = await startRedis(t)
  const broker = await open(t, redis)
  const seen: string[] = []
  const consuming = (async () => {
    for await (const delivery of broker.deliveries({ consumer: 'c1', leasesMax: 4, signal: t.signal })) {
      // A group that was made anew reads from the beginning, so what was settled and not yet trimmed comes again.
      if ((await broker.settle(delivery, predicted(delivery))) === 'settled') seen.push(delivery.batchId)
    }
  })()
  const harms = [
    ['FLUSHALL'],
    ['DEL', BATCHES],
    ['XGROUP', 'DESTROY', BATCHES, 'nustream'],
    ['SCRIPT', 'FLUSH'],
  ]
  for (const [i, harm] of harms.entries()) {
    await broker.publish(batch(`before ${i}`))
    await until(() => seen.includes(`before ${i}`))
    await redisCommand(redis.url, ...harm)
    await broker.publish(batch(`after ${i}`))
    await until(() => seen.includes(`after ${i}`))
  }
  await until(async () => (await broker.backlog()).events === 0)
  await broker.close()
  await consuming
  expect(new Set(seen).size).toBe(seen.length)
})

it('delivers entries of other programs with their raw bytes', async (t) => {
  const redis = await startRedis(t)
  const broker = await open(t, redis)
  const pickle = Buffer.from('80049523000000000000007d94', 'hex')
  await redisCommand(redis.url, 'XADD', BATCHES, '*', 'data', pickle)
  await redisCommand(redis.url, 'XADD', BATCHES, '*', 'a', '1', 'b', '2')
  await redisCommand(
    redis.url,
    'XADD',
    BATCHES,
    '*',
    'batch_id',
    'mine',
    'batch',
    'arrow bytes',
    'events',
    '7',
  )
  await redisCommand(
    redis.url,
    'XADD',
    BATCHES,
    '*',
    'batch_id',
    '',
    'batch',
    '',
    'events',
    'many',
    'emitted_at_ms',
    '-3',
  )
  const [one, two, three, four] = await take(broker, 4)
  expect(Buffer.from(one.payload)).toEqual(pickle)
  expect(one.batchId).toMatch(/^foreign-0-\d+-\d+$/)
  expect(one).toMatchObject({ events: 0, attempt: 1 })
  expect(text(two.payload)).toBe('a: 1\nb: 2\n')
  expect(three).toMatchObject({ batchId: 'mine', events: 7 })
  expect(text(three.payload)).toBe('arrow bytes')
  expect(four).toMatchObject({ events: 0, payload: new Uint8Array() })
  expect(four.emittedAtMs).toBeGreaterThan(1_600_000_000_000)
  for (const delivery of [one, two, three, four]) {
    await broker.settle(delivery, { predictions: bytes('p'), predicted: 3, deadLetters: [] })
  }
  // Nobody had counted them when they came in.
  expect(await broker.totals()).toEqual({ emitted: 12, predicted: 12, deadLettered: 0 })
})

it('continues after leased entries were deleted', async (t) => {
  const redis = await startRedis(t)
  const { log, lines } = collectLog()
  const dead = await open(t, redis, { visibilityMs: 200, renewMs: 1e9 })
  for (const id of ['b1', 'b2', 'b3']) await dead.publish(batch(id))
  const [first] = await take(dead, 3, { consumer: 'dead' })
  const [, entryId = ''] = first.deliveryId.split('/')
  await redisCommand(redis.url, 'XDEL', BATCHES, entryId)
  const heir = await open(t, redis, { visibilityMs: 200, log })
  expect((await settleAll(heir, 2, { consumer: 'heir' })).toSorted()).toEqual(['b2', 'b3'])
  await until(() => lines.some((line) => line.includes('leased batches are missing')))
  await until(async () => (await heir.backlog()).leasedBatches === 0)
})

it('trims what is settled, whatever a foreign or a forgotten group has not read', async (t) => {
  const redis = await startRedis(t)
  await redisCommand(redis.url, 'XGROUP', 'CREATE', BATCHES, 'foreign', '0', 'MKSTREAM')
  // As an earlier version left it, which could read under another group name.
  await redisCommand(redis.url, 'XGROUP', 'CREATE', BATCHES, 'forgotten', '0')
  await redisCommand(redis.url, 'HSET', 'nustream:{p0}:groups', 'forgotten', `${Date.now()}`)
  const options = { upkeepMs: 20, idleMaxMs: 4_000 }
  const broker = await open(t, redis, options)
  for (let i = 0; i <= 50; i++) await broker.publish(batch(`b${i}`))
  // This consumer goes on waiting, so its group stays live.
  const settled: string[] = []
  const consuming = (async () => {
    for await (const delivery of broker.deliveries({ consumer: 'c1', leasesMax: 4, signal: t.signal })) {
      await broker.settle(delivery, predicted(delivery))
      settled.push(delivery.batchId)
    }
  })()
  await until(() => settled.length === 51)
  // The forgotten group is still live for a moment, and until then nothing that it has not settled is deleted.
  expect(await redisCommand(redis.url, 'XLEN', BATCHES)).toBe(51)
  await until(async () => (await redisCommand(redis.url, 'XLEN', BATCHES)) === 0)
  await broker.close()
  await consuming
})

it('waits while the primary is a replica for a moment', async (t) => {
  const [redis, other] = [await startRedis(t), await startRedis(t)]
  const { log, lines } = collectLog()
  const broker = await open(t, redis, { log })
  await broker.publish(batch('b1'))
  await redisCommand(redis.url, 'REPLICAOF', '127.0.0.1', `${other.port}`)
  const publishing = broker.publish(batch('b2'))
  await until(() => lines.some((line) => /READONLY|MASTERDOWN|LOADING/.test(line)))
  await redisCommand(redis.url, 'REPLICAOF', 'NO', 'ONE')
  expect(await publishing).toBe('stored')
})

it('lets the emitter return to what is stored when Redis has lost its last batches', async (t) => {
  const redis = await startRedis(t)
  const broker = await open(t, redis)
  const at = (sequence: number) => ({
    run: 'r',
    sequence,
    resume: `${sequence}`,
    emitted: sequence * 4,
    done: false,
  })
  for (const sequence of [1, 2]) await broker.publish(batch(`b${sequence}`), at(sequence))
  const before = await redisCommand(redis.url, 'HGET', 'nustream:{p0}:runs', 'r')
  for (const sequence of [3, 4]) await broker.publish(batch(`b${sequence}`), at(sequence))
  await redisCommand(redis.url, 'HSET', 'nustream:{p0}:runs', 'r', String(before))
  expect(await broker.publish(batch('b5'), at(5))).toBe('repeat')
  expect(await broker.position('r')).toEqual(at(2))
  for (const sequence of [3, 4, 5])
    expect(await broker.publish(batch(`b${sequence}`), at(sequence))).toBe('stored')
  await redisCommand(redis.url, 'FLUSHALL')
  await expect(broker.publish(batch('b6'), at(6))).rejects.toMatchObject({
    code: 'run_taken',
    message: /lost/,
  })
})
