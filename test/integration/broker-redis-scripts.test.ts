import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Broker, Delivery } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import { batch, bytes, deadLetter, settleAll, take } from '../conformance/broker/support.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { redisCommand } from '../support/redis-command.ts'

/*
 * Redis does not roll back a script that fails midway. Every step is tried while one of its keys has a wrong type or holds a
 * value that is no count, and while Redis is full: it must then change nothing at all, or take effect as a whole.
 */

const letter = deadLetter('b1', 7n)
const position = { run: 'r', sequence: 1, resume: 'here', emitted: 5, done: false }

interface Held {
  readonly broker: Broker
  readonly delivery: Delivery
  readonly letterId: string
}

interface Step {
  readonly name: string
  readonly keys: readonly string[]
  /** Whether a full Redis carries it out. */
  readonly worksWhenFull: boolean
  run(held: Held): Promise<unknown>
}

const STEPS: readonly Step[] = [
  {
    name: 'publish',
    keys: ['batches', 'dead-letters', 'runs', 'totals', 'settled'],
    worksWhenFull: false,
    run: ({ broker }) => broker.publish(batch('new'), position, [letter]),
  },
  {
    name: 'publish without a position',
    keys: ['batches', 'dead-letters', 'runs', 'totals', 'settled'],
    worksWhenFull: false,
    run: ({ broker }) => broker.publish(batch('new'), undefined, [letter]),
  },
  {
    name: 'settle',
    keys: ['batches', 'predictions', 'dead-letters', 'settled', 'totals'],
    worksWhenFull: true,
    run: ({ broker, delivery }) =>
      broker.settle(delivery, { predictions: bytes('p'), predicted: 3, deadLetters: [letter] }),
  },
  {
    name: 'split',
    keys: ['batches', 'settled', 'totals'],
    worksWhenFull: true,
    run: ({ broker, delivery }) => broker.split(delivery, [batch('part 1', 2), batch('part 2', 2)]),
  },
  {
    name: 'replay',
    keys: ['batches', 'dead-letters', 'totals'],
    worksWhenFull: false,
    run: ({ broker, letterId }) => broker.replayDeadLetter(letterId),
  },
]
const TRIMMED_KEYS = ['batches', 'predictions', 'dead-letters', 'settled', 'totals', 'groups', 'readers']

let redis: RedisServer
let held: Held
beforeAll(async () => {
  redis = await startRedis(undefined, { args: ['--enable-debug-command', 'local'] })
})
afterAll(() => redis.stop())

beforeEach(async (t) => {
  await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '0')
  await redisCommand(redis.url, 'FLUSHALL')
  const broker = await openBroker(redis.url, { upkeepMs: 1e9, renewMs: 1e9, retryMaxMs: 20 })
  t.onTestFinished(() => broker.close())
  await broker.publish(batch('b0'))
  await settleAll(broker, 1)
  await broker.publish(batch('b1'))
  await broker.publish(batch('b2'), { ...position, run: 'other' }, [deadLetter('b0', 1n)])
  await broker.holdPredictions('archive', new Map())
  const [delivery] = await take(broker, 1, { leasesMax: 1 })
  const [{ id }] = await broker.deadLetters({ limit: 1 })
  held = { broker, delivery, letterId: id }
})

function key(name: string): string {
  return `nustream:{p0}:${name}`
}

/** A digest of every key, and what is leased. */
async function content(): Promise<string[]> {
  const names = (await redisCommand(redis.url, 'KEYS', '*')) as unknown[]
  const found = names.map(String).sort()
  const dumps = await Promise.all(found.map((name) => redisCommand(redis.url, 'DEBUG', 'DIGEST-VALUE', name)))
  const leased = await redisCommand(redis.url, 'XPENDING', key('batches'), 'nustream').catch(
    () => 'no stream',
  )
  return [...found.map((name, i) => `${name} ${String(dumps[i])}`), JSON.stringify(leased)]
}

const wrongTypes = STEPS.flatMap((step) => step.keys.map((name) => ({ ...step, key: name })))

describe('a step whose key has the wrong type changes nothing', () => {
  it.each(wrongTypes)('$name, $key', async ({ run, key: name }) => {
    await redisCommand(redis.url, 'DEL', key(name))
    await redisCommand(redis.url, 'SET', key(name), 'of another program')
    const before = await content()
    await expect(run(held)).rejects.toMatchObject({ code: 'broker_url_invalid', message: /another program/ })
    expect(await content()).toEqual(before)
  })

  it.each(TRIMMED_KEYS)('trim, %s', async (name) => {
    await redisCommand(redis.url, 'DEL', key(name))
    await redisCommand(redis.url, 'SET', key(name), 'of another program')
    const trimming = await openBroker(redis.url, { upkeepMs: 20, predictionsMax: 0, deadLettersMax: 0 })
    const before = await content()
    // A consumer trims everything; this one cannot start, because its key is in the way.
    const stop = AbortSignal.timeout(300)
    await Array.fromAsync(trimming.deliveries({ consumer: 'c9', leasesMax: 0, signal: stop })).catch(() => 0)
    await trimming.close()
    expect(await content()).toEqual(before)
  })
})

const wrongCounts = STEPS.flatMap((step) =>
  ['emitted', 'predicted', 'dead_lettered', 'waiting'].map((field) => ({ ...step, field })),
)

it.each(wrongCounts)('$name changes nothing when "$field" is no count', async ({ run, field }) => {
  await redisCommand(redis.url, 'HSET', key('totals'), field, 'many')
  const before = await content()
  await expect(run(held)).rejects.toMatchObject({ message: new RegExp(`field ${field} of .* is no count`) })
  expect(await content()).toEqual(before)
})

const LAST_ID = '18446744073709551615-18446744073709551614'

it.each(
  STEPS.flatMap(({ name, keys, ...step }) =>
    keys
      .filter((one) => ['batches', 'predictions', 'dead-letters'].includes(one))
      .filter(
        (one) => !(name === 'replay' && one === 'dead-letters') && !(name === 'settle' && one === 'batches'),
      )
      .map((one) => ({ ...step, name, key: one })),
  ),
)('$name adds nothing when the ids of $key are used up', async ({ run, key: name }) => {
  await redisCommand(redis.url, 'XADD', key(name), LAST_ID, 'a', 'b')
  const entries = () =>
    Promise.all(
      ['batches', 'predictions', 'dead-letters'].map((one) =>
        redisCommand(redis.url, 'XRANGE', key(one), '-', '+'),
      ),
    )
  const [before, totals] = [await entries(), await held.broker.totals()]
  await redisCommand(redis.url, 'XADD', key(name), '18446744073709551615-18446744073709551615', 'a', 'b')
  const full = await entries()
  expect(full).not.toEqual(before)
  await expect(run(held)).rejects.toThrow(/exhausted|last possible/)
  expect(await entries()).toEqual(full)
  expect(await held.broker.totals()).toEqual(totals)
  expect(await held.broker.position('r')).toBeUndefined()
})

describe('a step on a full Redis', () => {
  it.each(STEPS.filter(({ worksWhenFull }) => worksWhenFull))(
    '$name takes effect as a whole',
    async ({ run }) => {
      await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '1')
      expect(await run(held)).toBe('settled')
      const { emitted, predicted, deadLettered } = await held.broker.totals()
      expect(emitted).toBe(13)
      expect([predicted, deadLettered]).toEqual(predicted === 4 ? [4, 1] : [7, 2])
      expect(await redisCommand(redis.url, 'XPENDING', key('batches'), 'nustream')).toMatchObject({ 0: 0 })
    },
  )

  it.each(STEPS.filter(({ worksWhenFull }) => !worksWhenFull))(
    '$name changes nothing, and works later',
    async ({ run }) => {
      await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '1')
      const before = await content()
      let isDone = false
      const running = run(held).then((result) => {
        isDone = true
        return result
      })
      await expect(held.broker.checkWritable()).rejects.toMatchObject({ code: 'broker_refuses_writes' })
      expect(await content()).toEqual(before)
      expect(isDone).toBe(false)
      await redisCommand(redis.url, 'CONFIG', 'SET', 'maxmemory', '0')
      expect(await running).toBeTruthy()
      await held.broker.checkWritable()
    },
  )
})
