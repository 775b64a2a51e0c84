import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import type { Broker, Delivery } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import { type EmitOptions, type EmitReport, emit } from '../../src/emitter/emit.ts'
import { emitterMetrics } from '../../src/emitter/metrics.ts'
import { eventCount, sliceEvents } from '../../src/event/event-batch.ts'
import { decodeEventBatch } from '../../src/event/wire.ts'
import { BACKENDS, openBackend } from '../support/broker-backends.ts'
import { listSource } from '../support/list-source.ts'
import { collectLog } from '../support/log-lines.ts'
import { seededRandom } from '../support/random-events.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

describe.for(BACKENDS)('emit() over %s', (backend) => {
  it('publishes a source in order, in batches with stable ids, and marks the run as done', async (t) => {
    const broker = await (await openBackend(t, backend)).open()
    const source = listSource({ events: 25, chunk: 10 })
    const report = await run({ source, broker, run: 'r', batchEvents: 8 })
    expect(report).toMatchObject({ begun: 'new', ended: 'done', emitted: 25, batches: 4, emittedByRun: 25 })
    const deliveries = await take(broker, 4)
    expect(deliveries.map(({ batchId }) => batchId)).toEqual(['r:1', 'r:2', 'r:3', 'r:4'])
    expect(deliveries.map(({ events }) => events)).toEqual([8, 8, 8, 1])
    expect(deliveries.flatMap(idsOf)).toEqual(source.ids)
    expect(await broker.position('r')).toMatchObject({ emitted: 25, done: true })
    expect((await broker.totals()).emitted).toBe(25)
  })

  it('stores events that the source rejected as dead letters, and counts them as emitted', async (t) => {
    const broker = await (await openBackend(t, backend)).open()
    const registry = new Registry()
    const source = listSource({ events: 12, chunk: 4, rejectEvery: 4 })
    const { log, lines } = collectLog()
    const report = await run({ source, broker, batchEvents: 5, metrics: emitterMetrics(registry), log })
    expect(report).toMatchObject({ emitted: 15, rejected: 3 })
    // One line for many of a kind.
    const told = lines.filter((line) => line.includes('event of the source became a dead letter'))
    expect(told.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, code: 'source_value_invalid', eventId: '1000000', reason: expect.any(String) },
    ])
    expect(await broker.totals()).toEqual({ emitted: 15, predicted: 0, deadLettered: 3 })
    const letters = await broker.deadLetters({ limit: 10 })
    expect(letters.map(({ eventId }) => eventId).toSorted()).toEqual([1_000_000n, 1_000_001n, 1_000_002n])
    expect(letters[0]).toMatchObject({ code: 'source_value_invalid', attempts: 0, events: 1 })
    expect(JSON.parse(new TextDecoder().decode(letters[0].payload))).toMatchObject({
      source: 'list',
      code: 'source_value_invalid',
    })
    const metrics = await registry.metrics()
    expect(metrics).toContain('nustream_emitter_events_total 12')
    expect(metrics).toContain('nustream_emitter_rejected_events_total{code="source_value_invalid"} 3')
    expect(metrics).toContain('nustream_emitter_run_events 15')
  })

  it('neither loses nor doubles an event when it dies at any moment', { timeout: 120_000 }, async (t) => {
    const opened = await openBackend(t, backend)
    const random = seededRandom(7)
    const source = listSource({ events: 400, chunk: 23, rejectEvery: 5 })
    let starts = 0
    for (let ended = ''; ended !== 'done'; starts++) {
      // Each start has another batch size, rate and chunk size, as after a change of flags.
      const broker = await opened.open()
      const deadly = dyingBroker(broker, 1 + Math.floor(random() * 6), random)
      const batchEvents = 1 + Math.floor(random() * 20)
      ended = await run({ source, broker: deadly, run: 'r', batchEvents }).then(
        (report) => report.ended,
        () => 'died',
      )
      await broker.close()
      expect(starts).toBeLessThan(500)
    }
    const broker = await opened.open()
    const { emitted, deadLettered } = await broker.totals()
    expect(deadLettered).toBe(source.rejected.length)
    expect(emitted).toBe(400 + source.rejected.length)
    expect((await broker.position('r'))?.emitted).toBe(emitted)
    const batches = (await broker.backlog()).unreadBatches
    expect((await take(broker, batches)).flatMap(idsOf)).toEqual(source.ids)
    const letters = await broker.deadLetters({ limit: 1000 })
    expect(letters.map(({ eventId }) => eventId).toSorted()).toEqual(source.rejected.toSorted())
    expect(starts).toBeGreaterThan(5)
  })

  it('resumes after an abort where it stopped, up to the events of the whole run', async (t) => {
    const broker = await (await openBackend(t, backend)).open()
    const source = listSource({ events: 1_000, chunk: 64 })
    const stop = new AbortController()
    const first = run({ source, broker, rate: 500, batchEvents: 8, eventsMax: 300, signal: stop.signal })
    await until(async () => (await broker.totals()).emitted >= 40)
    stop.abort()
    const { emitted, ended } = await first
    expect(ended).toBe('aborted')
    const second = await run({ source, broker, batchEvents: 50, eventsMax: 300 })
    expect(second).toMatchObject({
      begun: 'resumed',
      ended: 'done',
      emitted: 300 - emitted,
      emittedByRun: 300,
    })
    const batches = (await broker.backlog()).unreadBatches
    expect((await take(broker, batches)).flatMap(idsOf)).toEqual(source.ids.slice(0, 300))
  })

  it('does not restart a finished run with a name, and restarts one without a name under new batch ids', async (t) => {
    const broker = await (await openBackend(t, backend)).open()
    const source = listSource({ events: 6, chunk: 6 })
    expect(await run({ source, broker, run: 'named' })).toMatchObject({ begun: 'new', emitted: 6 })
    expect(await run({ source, broker, run: 'named' })).toMatchObject({
      begun: 'finished',
      ended: 'done',
      emitted: 0,
    })
    for (const begun of ['new', 'again', 'again']) {
      expect(await run({ source, broker, batchEvents: 3 })).toMatchObject({
        begun,
        ended: 'done',
        emitted: 6,
        emittedByRun: 6,
      })
    }
    const deliveries = await take(broker, 7)
    expect(new Set(deliveries.map(({ batchId }) => batchId)).size).toBe(7)
    expect((await broker.totals()).emitted).toBe(24)
    await expect(run({ source: { ...source, spec: 'other' }, broker, run: 'named' })).rejects.toMatchObject({
      code: 'flag_invalid',
    })
  })

  it('starts a source over in a loop, one id at most once in a batch', async (t) => {
    const broker = await (await openBackend(t, backend)).open()
    const source = listSource({ events: 5, chunk: 3 })
    const report = await run({ source, broker, loop: true, eventsMax: 17, batchEvents: 100 })
    expect(report).toMatchObject({ ended: 'done', emitted: 17 })
    const deliveries = await take(broker, report.batches)
    expect(deliveries.flatMap(idsOf)).toEqual([
      ...source.ids,
      ...source.ids,
      ...source.ids,
      ...source.ids.slice(0, 2),
    ])
    for (const delivery of deliveries) expect(new Set(idsOf(delivery)).size).toBe(delivery.events)
    const nothing = listSource({ events: 0, chunk: 3 })
    expect(await run({ source: nothing, broker, loop: true })).toMatchObject({ ended: 'done', emitted: 0 })
  })

  it('pauses while the broker holds too many events, and continues when it holds fewer', async (t) => {
    const broker = await (await openBackend(t, backend)).open()
    const registry = new Registry()
    const source = listSource({ events: 600, chunk: 50 })
    const emitting = run({
      source,
      broker,
      batchEvents: 10,
      backlogMaxEvents: 100,
      metrics: emitterMetrics(registry),
    })
    await until(async () => (await broker.backlog()).events >= 100)
    let held = 0
    const stop = new AbortController()
    const ids: bigint[] = []
    for await (const delivery of broker.deliveries({ consumer: 'c', leasesMax: 4, signal: stop.signal })) {
      held = Math.max(held, (await broker.backlog()).events)
      ids.push(...idsOf(delivery))
      await broker.settle(delivery, { predictions: undefined, predicted: 0, deadLetters: [] })
      if (ids.length === 600) stop.abort()
    }
    expect(await emitting).toMatchObject({ ended: 'done', emitted: 600 })
    expect(ids).toEqual(source.ids)
    expect(held).toBeLessThanOrEqual(100)
    expect(await registry.metrics()).toMatch(/nustream_emitter_paused_seconds_total 0\.\d*[1-9]/)
  })

  it('does not let an event wait long for company at a low rate', async (t) => {
    const broker = await (await openBackend(t, backend)).open()
    const source = listSource({ events: 4, chunk: 4 })
    const startMs = Date.now()
    await run({ source, broker, rate: 10, seed: 3, batchEvents: 256, lingerMs: 20 })
    const deliveries = await take(broker, (await broker.backlog()).unreadBatches)
    expect(deliveries.length).toBeGreaterThan(1)
    expect(deliveries.flatMap(idsOf)).toEqual(source.ids)
    const due = deliveries.map(({ emittedAtMs }) => emittedAtMs)
    expect(due).toEqual(due.toSorted((a, b) => a - b))
    expect(due[0]).toBeGreaterThanOrEqual(startMs - 1)
  })
})

it('emit() waits for a killed Redis, and continues with the next event', async (t) => {
  const redis = await startRedis(t)
  const broker = await openBroker(redis.url, { retryMaxMs: 100 })
  t.onTestFinished(() => broker.close())
  const source = listSource({ events: 900, chunk: 50, rejectEvery: 100 })
  const emitting = run({ source, broker, rate: 600, batchEvents: 20 })
  for (const emitted of [100, 400]) {
    await until(async () => (await broker.totals()).emitted > emitted)
    await redis.kill9()
    await redis.restart()
  }
  expect(await emitting).toMatchObject({ ended: 'done', emitted: 909 })
  expect(await broker.totals()).toEqual({ emitted: 909, predicted: 0, deadLettered: 9 })
  expect((await take(broker, (await broker.backlog()).unreadBatches)).flatMap(idsOf)).toEqual(source.ids)
})

it('emit() continues after a batch of a dead predecessor that the broker stored late', async (t) => {
  const broker = await (await openBackend(t, 'sqlite')).open()
  const source = listSource({ events: 30, chunk: 30 })
  // The predecessor cut its second batch elsewhere. It arrives after the successor has read its position.
  await run({ source, broker: dyingBroker(broker, 2, () => 0.9), run: 'r', batchEvents: 7 }).catch(() => {})
  const before = await broker.position('r')
  const late = { ...source, spec: 'list' }
  let isFirst = true
  const racing: Broker = new Proxy(broker, {
    get(target, name) {
      if (name === 'publish' && isFirst) {
        isFirst = false
        return async (...args: Parameters<Broker['publish']>) => {
          await run({
            source: late,
            broker: dyingBroker(broker, 2, () => 0.9),
            run: 'r',
            batchEvents: 4,
          }).catch(() => {})
          return target.publish(...args)
        }
      }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  expect(before?.sequence).toBe(1)
  const outcome = await run({ source, broker: racing, run: 'r', batchEvents: 7 })
  expect(outcome.ended).toBe('done')
  expect((await take(broker, (await broker.backlog()).unreadBatches)).flatMap(idsOf)).toEqual(source.ids)
})

function run(options: Partial<EmitOptions> & Pick<EmitOptions, 'source' | 'broker'>): Promise<EmitReport> {
  return emit({ rate: 'max', signal: new AbortController().signal, ...options })
}

/** Publishes so often, then the process is dead: the last publish may or may not have arrived. */
function dyingBroker(broker: Broker, publishes: number, random: () => number): Broker {
  let left = publishes
  return new Proxy(broker, {
    get(target, name) {
      if (name === 'publish') {
        return async (...args: Parameters<Broker['publish']>) => {
          if (--left > 0) return target.publish(...args)
          if (left === 0 && random() < 0.5) await target.publish(...args)
          throw new Error('killed')
        }
      }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function take(broker: Broker, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = []
  if (count === 0) return deliveries
  const stop = new AbortController()
  for await (const delivery of broker.deliveries({
    consumer: 'taker',
    leasesMax: count,
    signal: stop.signal,
  })) {
    deliveries.push(delivery)
    if (deliveries.length === count) stop.abort()
  }
  return deliveries
}

function idsOf({ payload, events }: Delivery): bigint[] {
  const batch = decodeEventBatch(payload)
  expect(eventCount(batch)).toBe(events)
  return [...sliceEvents(batch, 0, events).eventIds]
}
