import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import type { OpenOptions } from '../../src/broker/options.ts'
import { type EmitOptions, emit } from '../../src/emitter/emit.ts'
import { decodeEventBatch } from '../../src/event/wire.ts'
import { batch, settleAll, take } from '../conformance/broker/support.ts'
import { predictedEvents } from '../support/cluster-account.ts'
import { listSource } from '../support/list-source.ts'
import { collectLog } from '../support/log-lines.ts'
import { startNustream } from '../support/nustream.ts'
import { type Owner, type RedisServer, startRedis } from '../support/redis.ts'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts'
import { isUnreachable, until } from '../support/until.ts'

const PARTITIONS = 8
const QUICK = { retryMaxMs: 200, commandTimeoutMs: 2_000, connectTimeoutMs: 60_000 }

let cluster: RedisCluster
const cleanups: (() => Promise<void>)[] = []
beforeAll(async () => {
  cluster = await startRedisCluster({ onTestFinished: (cleanup) => cleanups.push(cleanup) })
})
afterAll(() => Promise.all(cleanups.map((cleanup) => cleanup())))

async function open(t: Owner, options: OpenOptions = {}, query = ''): Promise<Broker> {
  const broker = await openBroker(`${cluster.url}${query}`, { ...QUICK, partitions: PARTITIONS, ...options })
  t.onTestFinished(() => broker.close())
  return broker
}

describe('a stream on a Redis Cluster of three masters and three replicas', () => {
  it('loses and doubles nothing when a master is killed under four consumers', {
    timeout: 300_000,
  }, async (t) => {
    const stream = 'killed'
    const where = ['--broker', cluster.url, '--stream', stream, '--partitions', `${PARTITIONS}`]
    const parts = ['c1', 'c2', 'c3', 'c4'].map((name) =>
      startNustream(['consume', ...where, '--name', name, '--visibility-ms', '2000', '--port', '0'], t),
    )
    // What it publishes has no emitter that would make it again, so a replica must have it.
    const reader = await open(t, { stream }, '?wait=1')
    const words = () => parts.map((part) => part.stderr().slice(-1_500)).join('\n---\n')
    const areUp = async () => (await reader.heartbeats()).length === 4
    await until(areUp, { withinMs: 150_000, what: 'four consumers' })
    const events = 2_000
    const paced = ['--source', 'sim:5', '--events', `${events}`, '--rate', '250', '--batch', '16']
    const emitter = startNustream(['emit', ...where, ...paced, '--port', '0'], t)
    const soon = { withinMs: 60_000 }
    const hasBegun = async () => (await reader.totals()).predicted > 400
    await until(hasBegun, { ...soon, what: `a beginning: ${emitter.stderr()} ${words()}` })
    // Two batches that cannot be read: their fate is a dead letter each, wherever the cluster stands.
    for (const id of ['bad 1', 'bad 2']) await reader.publish(batch(id, 1))
    const master = await cluster.masterOf(`${stream}:{p0}:batches`)
    await master.kill9()
    expect(emitter.child.exitCode, 'the emitter is at work when the master dies').toBeNull()
    expect(await emitter.ended, emitter.stderr()).toBe(0)
    const settled = async () => {
      const { predicted, deadLettered } = await reader.totals()
      return predicted + deadLettered >= events + 2
    }
    await until(settled, { ...soon, what: `every event: ${words()}` })
    expect(await cluster.masterOf(`${stream}:{p0}:batches`)).not.toBe(master)
    expect(await reader.totals()).toEqual({ emitted: events + 2, predicted: events, deadLettered: 2 })
    const found = await predictedEvents(reader, events)
    expect(found.length).toBe(events)
    expect(new Set(found.map(({ eventId }) => eventId)).size).toBe(events)
    // All four worked, and each can still be asked to stop.
    expect(new Set(found.map(({ consumer }) => consumer)).size).toBe(4)
    for (const part of parts) expect(await part.kill('SIGTERM'), part.stderr()).toBe(0)
    // The dead master comes back as a replica, and nothing that it still thinks it knows counts.
    await master.restart()
    await cluster.healthy(3)
    expect(await reader.totals()).toEqual({ emitted: events + 2, predicted: events, deadLettered: 2 })
  })
})

describe('a node that dies', () => {
  it('delays neither readers that wait for it nor an emitter that starts meanwhile', async (t) => {
    const stream = 'waiting'
    const consumer = await open(t, { stream, visibilityMs: 1_000 })
    const ids = consumeIds(t, consumer)
    const master = await cluster.masterOf(`${stream}:{p0}:batches`)
    await until(async () => (await blockedClients(master)) > 0, {
      withinMs: 90_000,
      what: 'a blocked reader',
    })
    await master.kill9()
    const broker = await open(t, { stream })
    const source = listSource({ events: 300, chunk: 10 })
    expect(await emit(emitOptions(t, source, broker))).toMatchObject({ ended: 'done', emitted: 300 })
    await until(() => ids.size === 300, { withinMs: 90_000 })
    expect(await broker.totals()).toEqual({ emitted: 300, predicted: 300, deadLettered: 0 })
    expect(await cluster.masterOf(`${stream}:{p0}:batches`)).not.toBe(master)
    await master.restart()
    await cluster.healthy(3)
  })

  it('is not missed when it is a replica', async (t) => {
    const stream = 'replica'
    const broker = await open(t, { stream })
    const ids = consumeIds(t, await open(t, { stream }))
    const source = listSource({ events: 600, chunk: 10 })
    const emitting = emit({ ...emitOptions(t, source, broker), rate: 200 })
    await until(() => ids.size > 50, { withinMs: 90_000 })
    const master = await cluster.masterOf(`${stream}:{p0}:batches`)
    const [replica] = await cluster.replicasOf(master)
    await replica.kill9()
    const atDeath = ids.size
    await until(() => ids.size > atDeath + 100, { withinMs: 90_000 })
    await replica.restart()
    expect(await emitting).toMatchObject({ ended: 'done', emitted: 600 })
    await until(() => ids.size === 600, { withinMs: 90_000 })
    expect([...ids.values()].every((times) => times === 1)).toBe(true)
    expect(await broker.totals()).toEqual({ emitted: 600, predicted: 600, deadLettered: 0 })
    expect(await cluster.masterOf(`${stream}:{p0}:batches`)).toBe(master)
    await cluster.healthy(3)
  })
})

describe('a fail-over that takes acknowledged batches with it', () => {
  it('is repaired by a running emitter, which publishes the lost batches again', async (t) => {
    const stream = 'living'
    const broker = await open(t, { stream })
    const consumer = await open(t, { stream, visibilityMs: 1_000 })
    const { log, lines } = collectLog()
    const source = listSource({ events: 900, chunk: 10, rejectEvery: 9 })
    const emitting = emit({ ...emitOptions(t, source, broker), rate: 250, log })
    await until(async () => (await broker.totals()).emitted > 100, { withinMs: 90_000 })
    const { promote, lost } = await losingMaster(stream, async () => {
      const before = (await broker.totals()).emitted
      await until(async () => (await broker.totals()).emitted > before + 150, { withinMs: 90_000 })
    })
    const ids = consumeIds(t, consumer)
    expect(await emitting).toMatchObject({ ended: 'done', emittedByRun: 1_000 })
    await promote
    expect(lost).toBeGreaterThan(0)
    expect(lines.join()).toContain('the broker lost batches, publishing them again')
    await until(() => ids.size >= source.ids.length, { withinMs: 90_000 })
    expect([...ids.keys()].toSorted(ascending)).toEqual([...source.ids].toSorted(ascending))
    await until(async () => (await broker.backlog()).events === 0, { withinMs: 90_000 })
    expect(await broker.totals()).toEqual({ emitted: 1_000, predicted: 900, deadLettered: 100 })
    const letters = await broker.deadLetters({ limit: 1_000 })
    expect(letters.map(({ eventId }) => eventId).toSorted()).toEqual(source.rejected.toSorted())
    await cluster.healthy(3)
  })

  it('is not noticed after the emitter has ended, but at its next start', async (t) => {
    const stream = 'ended'
    const broker = await open(t, { stream })
    // Fewer batches than the positions in the other partitions remember, however the source is cut.
    const source = listSource({ events: 200, chunk: 10, rejectEvery: 8 })
    const { promote, lost } = await losingMaster(stream, async () => {
      expect(await emit(emitOptions(t, source, broker))).toMatchObject({ ended: 'done', emitted: 225 })
    })
    await promote
    expect(lost).toBeGreaterThan(0)
    const later = await open(t, { stream })
    expect((await later.totals()).emitted).toBeLessThan(225)
    // Another batch size makes no difference to what is made again.
    await emit({ ...emitOptions(t, source, later), batchEvents: 3 })
    const found = (await take(later, (await later.backlog()).unreadBatches)).flatMap((delivery) => [
      ...decodeEventBatch(delivery.payload).eventIds,
    ])
    expect(found.toSorted(ascending)).toEqual([...source.ids].toSorted(ascending))
    expect(await later.totals()).toEqual({ emitted: 225, predicted: 0, deadLettered: 25 })
    await cluster.healthy(3)
  })

  it('takes nothing that was published with ?wait=1, which answers only when a replica has it', async (t) => {
    const stream = 'waited'
    const broker = await open(t, { stream }, '?wait=1&wait_ms=200')
    const key = `${stream}:{p1}:batches`
    const master = await cluster.masterOf(key)
    const [replica] = await cluster.replicasOf(master)
    await replica.kill9()
    const position = { run: 'r', sequence: 1, resume: '', emitted: 4, done: false }
    let isAnswered = false
    const publishing = broker.publish(batch('b1'), position).finally(() => {
      isAnswered = true
    })
    // It is there, for all to see, and still no answer is given while it hangs on one machine.
    await until(async () => (await cluster.command(master, 'XLEN', key)) === 1, { withinMs: 90_000 })
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(isAnswered).toBe(false)
    await replica.restart()
    expect(await publishing).toBe('stored')
    await master.kill9()
    await until(async () => (await cluster.masterOf(key)) !== master, {
      withinMs: 90_000,
      everyMs: 50,
      notYet: isUnreachable,
    })
    expect(await broker.totals()).toMatchObject({ emitted: 4 })
    await master.restart()
    await cluster.healthy(3)
    expect(await settleAll(broker, 1)).toEqual(['b1'])
  })
})

it('continues while a slot moves to another node, key by key', async (t) => {
  const stream = 'moved'
  const broker = await open(t, { stream, partitions: 1 })
  const consumer = await open(t, { stream, partitions: 1 })
  const total = 120
  const consuming = settleAll(consumer, total, { withinMs: 150_000 })
  let moving: Promise<void> | undefined
  const publishing = (async () => {
    for (let sequence = 1; sequence <= total; sequence++) {
      await broker.publish(batch(`b${sequence}`), at(sequence))
      if (sequence === 20) moving = moveSlot(`${stream}:{p0}:batches`)
    }
  })()
  const [settled] = await Promise.all([consuming, publishing])
  await moving
  expect(new Set(settled).size).toBe(total)
  expect(await broker.totals()).toEqual({ emitted: total * 4, predicted: total * 4, deadLettered: 0 })
})

it('needs one live node of those in the URL, and reports if there is none', async (t) => {
  const [first] = cluster.nodes
  const lone = await openBroker(`redis+cluster://127.0.0.1:1,127.0.0.1:${first.port}`, {
    ...QUICK,
    partitions: 8,
  })
  t.onTestFinished(() => lone.close())
  await lone.totals()
  // An address of the cluster without the word for it does as well.
  const plain = await openBroker(first.url, { ...QUICK, partitions: 8 })
  t.onTestFinished(() => plain.close())
  expect(await plain.totals()).toEqual(await lone.totals())
  const none = openBroker('redis+cluster://127.0.0.1:1,127.0.0.1:2', { connectTimeoutMs: 300 })
  await expect(none).rejects.toMatchObject({ code: 'broker_unreachable' })
})

it('tells a cluster from a single server, and a Sentinel from both', async (t) => {
  const single = await startRedis(t)
  const sentinel = await startRedis(t, { args: ['--sentinel'] }).catch(() => undefined)
  const wrong = openBroker(`redis+cluster://127.0.0.1:${single.port}`)
  await expect(wrong).rejects.toMatchObject({
    code: 'broker_url_invalid',
    message: /is no cluster; write redis:/,
  })
  if (sentinel)
    await expect(openBroker(sentinel.url)).rejects.toMatchObject({
      code: 'broker_url_invalid',
      message: /is a Sentinel/,
    })
})

/** The replica of the master of partition 0 is away while `publish` runs; then the master dies and the replica takes over. */
async function losingMaster(stream: string, publish: () => Promise<void>) {
  const key = `${stream}:{p0}:batches`
  const master = await cluster.masterOf(key)
  const [replica] = await cluster.replicasOf(master)
  await replica.kill9()
  const before = await offsetOf(master)
  await publish()
  const lost = (await offsetOf(master)) - before
  await master.kill9()
  await replica.restart()
  const tookOver = async () => (await cluster.masterOf(key)) === replica
  const how = { withinMs: 90_000, everyMs: 50, what: 'a new master', notYet: isUnreachable }
  const promote = until(tookOver, how).then(() => master.restart())
  return { promote, lost }
}

/** How many connections of a node wait in a command that blocks. */
async function blockedClients(node: RedisServer): Promise<number> {
  const info = String(await cluster.command(node, 'INFO', 'clients'))
  return Number(/blocked_clients:(\d+)/.exec(info)?.[1])
}

async function offsetOf(node: RedisServer): Promise<number> {
  const info = String(await cluster.command(node, 'INFO', 'replication'))
  return Number(/master_repl_offset:(\d+)/.exec(info)?.[1])
}

function emitOptions(t: { signal: AbortSignal }, source: EmitOptions['source'], broker: Broker): EmitOptions {
  return { source, broker, run: 'r', rate: 'max', batchEvents: 7, signal: t.signal }
}

/** Settles whatever comes, and counts the events of each first settlement. */
function consumeIds(t: { signal: AbortSignal }, broker: Broker): Map<bigint, number> {
  const ids = new Map<bigint, number>()
  const consume = async () => {
    for await (const delivery of broker.deliveries({ consumer: 'c', leasesMax: 8, signal: t.signal })) {
      const { eventIds } = decodeEventBatch(delivery.payload)
      const settlement = { predictions: new Uint8Array(1), predicted: eventIds.length, deadLetters: [] }
      await broker.settle(delivery, settlement)
      for (const id of eventIds) ids.set(id, (ids.get(id) ?? 0) + 1)
    }
  }
  consume().catch(() => undefined)
  return ids
}

/** Moves the slot of a key from its master to another, with the stream's keys on both sides for a while. */
async function moveSlot(key: string): Promise<void> {
  const from = await cluster.masterOf(key)
  const to = await cluster.masterOf('another:{p7}:key')
  expect(to).not.toBe(from)
  const slot = String(await cluster.command(from, 'CLUSTER', 'KEYSLOT', key))
  const [fromId, toId] = await Promise.all(
    [from, to].map(async (node) => String(await cluster.command(node, 'CLUSTER', 'MYID'))),
  )
  await cluster.command(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
  await cluster.command(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
  for (;;) {
    const keys = await cluster.command(from, 'CLUSTER', 'GETKEYSINSLOT', slot, '1')
    if (!Array.isArray(keys) || keys.length === 0) break
    await cluster.command(from, 'MIGRATE', to.host, `${to.port}`, String(keys[0]), '0', '5000')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  for (const node of [to, from]) await cluster.command(node, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId)
}

function at(sequence: number) {
  return { run: 'r', sequence, resume: `${sequence}`, emitted: sequence * 4, done: false }
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
