import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { openBroker } from '../src/broker/open.ts'
import { startRedis } from '../test/support/redis.ts'
import { median, writeResult } from './support/result.ts'

// The sizes of the emitter: 256 events of 164 pulses are 465 kB; their predictions are about 11 kB.
const EVENTS = 256
const payload = randomBytes(465_000)
const predictions = randomBytes(11_000)
const PUBLISHED_AT_ONCE = 4
const LEASES = 8
const ROUNDS = 3
const BATCHES = Number(process.argv[2] ?? 400)
/** 3,000 events/s in batches of 256. */
const PACED_PER_SECOND = 12
const PACED_BATCHES = 60

interface Passage {
  readonly batchesPerSecond: number
  readonly cpuMsPerBatch: number
  /** Times from the call of publish to the delivery, sorted. */
  readonly waitsMs: number[]
}

/** Publishes, delivers and settles in this process, through two brokers as two processes would. */
async function pass(url: string, batches: number, perSecond: number): Promise<Passage> {
  await using emitter = await openBroker(url)
  await using consumer = await openBroker(url)
  const waitsMs: number[] = []
  const startMs = performance.now()
  const cpu = process.cpuUsage()
  const publishing = publishAll(emitter, batches, perSecond)
  const stop = new AbortController()
  const settling = new Set<Promise<unknown>>()
  const options = { consumer: 'bench', leasesMax: LEASES, signal: stop.signal }
  for await (const delivery of consumer.deliveries(options)) {
    waitsMs.push(performance.timeOrigin + performance.now() - Number(delivery.batchId.split(' ')[1]))
    keep(settling, consumer.settle(delivery, { predictions, predicted: EVENTS, deadLetters: [] }))
    if (waitsMs.length === batches) break
  }
  await Promise.all([publishing, ...settling])
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    batchesPerSecond: batches / seconds,
    cpuMsPerBatch: (user + system) / 1000 / batches,
    waitsMs: waitsMs.toSorted((a, b) => a - b),
  }
}

type Broker = Awaited<ReturnType<typeof openBroker>>

async function publishAll(broker: Broker, batches: number, perSecond: number): Promise<void> {
  const startMs = performance.now()
  const inFlight = new Set<Promise<unknown>>()
  for (let i = 0; i < batches; i++) {
    if (perSecond > 0) await pause(Math.max(0, startMs + (i * 1000) / perSecond - performance.now()))
    while (inFlight.size >= PUBLISHED_AT_ONCE) await Promise.race(inFlight)
    const batchId = `${i} ${performance.timeOrigin + performance.now()} ${Math.random()}`
    keep(inFlight, broker.publish({ batchId, payload, events: EVENTS, emittedAtMs: Date.now() }))
  }
  await Promise.all(inFlight)
}

/** Keeps work in the set until it has ended. */
function keep(working: Set<Promise<unknown>>, work: Promise<unknown>): void {
  const done: Promise<unknown> = work.finally(() => working.delete(done))
  working.add(done)
}

const folder = mkdtempSync(join(tmpdir(), 'nustream-bench-'))
await using durable = await startRedis()
await using everySecond = await startRedis(undefined, { args: ['--appendfsync', 'everysec'] })
await using memory = await startRedis(undefined, { args: ['--appendonly', 'no'] })
const backends = [
  ['SQLite', `sqlite:${join(folder, 'broker.db')}`],
  ['Redis, no append-only file', memory.url],
  ['Redis, appendfsync everysec', everySecond.url],
  ['Redis, appendfsync always', durable.url],
] as const

const rows = []
for (const [backend, url] of backends) {
  const flat: Passage[] = []
  for (let round = 0; round < ROUNDS; round++) flat.push(await pass(url, BATCHES, 0))
  const paced = await pass(url, PACED_BATCHES, PACED_PER_SECOND)
  const batchesPerSecond = Math.round(median(flat.map((passage) => passage.batchesPerSecond)))
  rows.push({
    backend,
    batchesPerSecond,
    eventsPerSecond: batchesPerSecond * EVENTS,
    clientCpuMsPerBatch: Math.round(median(flat.map((passage) => passage.cpuMsPerBatch)) * 100) / 100,
    pacedWaitMsP50: Math.round(paced.waitsMs[paced.waitsMs.length >> 1] * 10) / 10,
    pacedWaitMsP99: Math.round(paced.waitsMs[Math.floor(paced.waitsMs.length * 0.99)] * 10) / 10,
  })
}
rmSync(folder, { recursive: true })

writeResult('broker', {
  question: 'How fast do batches go through the broker (publish, deliver, settle)?',
  command: 'npm run bench -- broker',
  parameters: {
    batches: BATCHES,
    events: EVENTS,
    payloadBytes: payload.length,
    rounds: ROUNDS,
    pacedBatchesPerSecond: PACED_PER_SECOND,
  },
  rows,
})
