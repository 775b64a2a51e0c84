import { monitorEventLoopDelay } from 'node:perf_hooks'
import { expect, it } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import { EventError } from '../../src/errors.ts'
import { eventCount } from '../../src/event/event-batch.ts'
import { decodePredictionBatch } from '../../src/event/prediction-wire.ts'
import { decodeEvents, encodeEventBatch } from '../../src/event/wire.ts'
import { openBackend } from '../support/broker-backends.ts'
import { startConsuming, untilDrained } from '../support/consuming.ts'
import { createRandom, TestInferrer } from '../support/faulty-inferrer.ts'
import { makeEvents } from '../support/plain-events.ts'

const SEED = 20_261_130
const PAYLOADS = 5_000
/** No batch may hold a consumer up for longer. */
const SECONDS_MAX = 2
const GROWTH_BYTES_MAX = 256 * 1024 * 1024

/** Numbers that lengths, offsets and counts break on. */
const EXTREMES = [0, 1, 2, 7, 8, 127, 128, 255, 256, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

type Random = () => number

/** Payloads of a stream that something between producer and broker has damaged; the same for the same seed. */
function* damagedPayloads(count: number, random: Random): Generator<Uint8Array> {
  const sound = [
    encodeEventBatch(makeEvents(8)),
    encodeEventBatch(makeEvents(1, 100, { truth: true })),
    encodeEventBatch({ ...makeEvents(16, 200), utc: new BigInt64Array(16).fill(7n) }),
    encodeEventBatch(makeEvents(0)),
  ]
  for (let i = 0; i < count; i++) {
    let payload: Uint8Array = pick(sound, random).slice()
    const times = 1 + Math.floor(random() * 4)
    for (let t = 0; t < times; t++) payload = pick(DAMAGE, random)(payload, random, sound)
    yield payload
  }
}

type Damage = (payload: Uint8Array, random: Random, sound: readonly Uint8Array[]) => Uint8Array

const DAMAGE: readonly Damage[] = [
  function flipBit(payload, random) {
    const at = indexIn(payload, random)
    payload[at] ^= 1 << Math.floor(random() * 8)
    return payload
  },
  function setByte(payload, random) {
    payload[indexIn(payload, random)] = Math.floor(random() * 256)
    return payload
  },
  function setWord(payload, random) {
    if (payload.length < 4) return payload
    const at = Math.floor(random() * (payload.length - 3)) & ~3
    new DataView(payload.buffer, payload.byteOffset).setUint32(at, pick(EXTREMES, random), true)
    return payload
  },
  (payload, random) => payload.slice(0, indexIn(payload, random)),
  (payload, random) => Uint8Array.from([...payload, ...payload.subarray(indexIn(payload, random))]),
  function removeSome(payload, random) {
    const from = indexIn(payload, random)
    const to = Math.min(payload.length, from + Math.floor(random() * 64))
    return Uint8Array.from([...payload.subarray(0, from), ...payload.subarray(to)])
  },
  function splice(payload, random, sound) {
    const other = pick(sound, random)
    return Uint8Array.from([
      ...payload.subarray(0, indexIn(payload, random)),
      ...other.subarray(indexIn(other, random)),
    ])
  },
]

function pick<T>(from: readonly T[], random: Random): T {
  return from[Math.floor(random() * from.length)]
}

function indexIn(payload: Uint8Array, random: Random): number {
  return Math.floor(random() * payload.length)
}

it(`decodeEvents() refuses or reads each of ${PAYLOADS} damaged payloads in bounded time`, () => {
  let longest = 0
  let read = 0
  for (const payload of damagedPayloads(PAYLOADS, createRandom(SEED))) {
    const before = process.cpuUsage()
    try {
      const { batch, faults } = decodeEvents(payload)
      expect(batch.offsets).toHaveLength(eventCount(batch) + 1)
      expect(faults.length).toBeLessThanOrEqual(eventCount(batch))
      read++
    } catch (error) {
      if (!(error instanceof EventError)) throw error
    }
    const { user, system } = process.cpuUsage(before)
    longest = Math.max(longest, (user + system) / 1e6)
  }
  expect(longest).toBeLessThan(SECONDS_MAX)
  // Damage that hits values alone leaves a batch readable: both kinds must be among them.
  expect(read).toBeGreaterThan(PAYLOADS / 20)
  expect(read).toBeLessThan(PAYLOADS)
})

it('a consumer settles every damaged batch: each event has one prediction or one dead letter', async (t) => {
  const broker = await (await openBackend(t, 'sqlite')).open()
  const { done, stop } = startConsuming(t, { broker, inferrer: new TestInferrer(), leasesMax: 16 })
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  const before = process.memoryUsage().rss
  let sequence = 0
  for (const payload of damagedPayloads(PAYLOADS, createRandom(SEED + 1)))
    await broker.publish({ batchId: `fuzz/${sequence++}`, payload, events: 0, emittedAtMs: 0 })
  await untilDrained(broker, 60_000)
  delay.disable()

  const report = await stop()
  await done
  const totals = await broker.totals()
  expect(totals.emitted).toBe(totals.predicted + totals.deadLettered)
  expect([report.predicted, report.deadLettered]).toEqual([totals.predicted, totals.deadLettered])
  expect(totals.predicted).toBeGreaterThan(0)
  expect(totals.deadLettered).toBeGreaterThan(0)
  expect(await storedEvents(broker)).toBe(totals.predicted)
  expect(delay.max / 1e9).toBeLessThan(SECONDS_MAX)
  expect(process.memoryUsage().rss - before).toBeLessThan(GROWTH_BYTES_MAX)
}, 120_000)

async function storedEvents(broker: Broker): Promise<number> {
  const { predicted } = await broker.totals()
  let events = 0
  for await (const { payload } of broker.predictions({ signal: AbortSignal.timeout(30_000) })) {
    events += decodePredictionBatch(payload).eventIds.length
    if (events >= predicted) break
  }
  return events
}
