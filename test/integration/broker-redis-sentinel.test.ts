import { expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { batch, ids, predicted, readStored, settleAll, take } from '../conformance/broker/support.ts'
import { startWatchedRedis } from '../support/redis-sentinel.ts'
import { until } from '../support/until.ts'

const QUICK = { retryMaxMs: 100, connectTimeoutMs: 5_000, commandTimeoutMs: 2_000, visibilityMs: 2_000 }

function at(sequence: number) {
  return { run: 'r', sequence, resume: `${sequence}`, emitted: sequence * 4, done: false }
}

it('finds the primary through Sentinels, and follows it when another takes its place', {
  timeout: 120_000,
}, async (t) => {
  const watched = await startWatchedRedis(t)
  const open = async () => {
    // One replica confirms each step, so the fail-over loses nothing.
    const broker = await openBroker(`${watched.url}?wait=1&wait_ms=200`, { ...QUICK, partitions: 3 })
    t.onTestFinished(() => broker.close())
    return broker
  }
  const [emitter, consumer] = [await open(), await open()]
  for (let sequence = 1; sequence <= 6; sequence++) await emitter.publish(batch(`b${sequence}`), at(sequence))
  expect(new Set(await settleAll(consumer, 3)).size).toBe(3)

  await watched.primary.kill9()
  await watched.names(watched.replica)
  // The former primary comes back as a replica, so that steps can be confirmed again.
  await watched.primary.restart()
  for (let sequence = 7; sequence <= 12; sequence++)
    expect(await emitter.publish(batch(`b${sequence}`), at(sequence))).toBe('stored')
  await settleAll(consumer, 9, { withinMs: 30_000 })
  expect(await emitter.totals()).toEqual({ emitted: 48, predicted: 48, deadLettered: 0 })
  expect(new Set(ids(await readStored(emitter, 12))).size).toBe(12)
  expect((await emitter.position('r'))?.sequence).toBe(12)
})

it('waits while there is no primary, and then settles its leases', {
  timeout: 120_000,
}, async (t) => {
  const watched = await startWatchedRedis(t)
  const broker = await openBroker(watched.url, QUICK)
  t.onTestFinished(() => broker.close())
  await broker.publish(batch('b1'))
  const [delivery] = await take(broker, 1)
  // Both hold the step before the primary dies.
  await until(async () => (await broker.backlog()).leasedBatches === 1)
  await watched.primary.kill9()
  const settling = broker.settle(delivery, predicted(delivery))
  await expect(broker.ping()).rejects.toMatchObject({ code: 'broker_unreachable' })
  await watched.names(watched.replica)
  expect(await settling).toBe('settled')
})

it('logs in to Redis where the Sentinels ask for no password', { timeout: 120_000 }, async (t) => {
  const watched = await startWatchedRedis(t, { password: 'p@ss' })
  const broker = await openBroker(watched.url, { ...QUICK, password: 'p@ss' })
  t.onTestFinished(() => broker.close())
  await broker.publish(batch('b1'))
  expect(await settleAll(broker, 1)).toEqual(['b1'])
  await expect(openBroker(watched.url, QUICK)).rejects.toMatchObject({ code: 'unauthorized' })
  const unknown = openBroker(watched.url.replace(/main$/, 'other'), QUICK)
  await expect(unknown).rejects.toMatchObject({
    code: 'broker_url_invalid',
    message: /watch no primary named "other"/,
  })
})

it('reports that no Sentinel answers', async () => {
  const opening = openBroker('redis+sentinel://127.0.0.1:1,127.0.0.1:2/main', { connectTimeoutMs: 300 })
  await expect(opening).rejects.toMatchObject({ code: 'broker_unreachable', message: /no Sentinel answers/ })
})
