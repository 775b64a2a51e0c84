import { describe, expect, it, onTestFinished } from 'vitest'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { inferIsolating } from '../../src/inference/network/local.ts'
import { type QueueOptions, RequestQueue } from '../../src/inference/network/queue.ts'
import { WorkerPool, type WorkerPoolOptions } from '../../src/inference/network/worker-pool.ts'
import { makeEvents } from '../support/plain-events.ts'
import { until } from '../support/until.ts'

interface Options {
  readonly threads?: number
  readonly pool?: WorkerPoolOptions['limits']
  readonly queue?: Partial<QueueOptions>
}

/** Closed when the test is over. */
async function open({ threads = 2, pool: limits, queue: more }: Options = {}) {
  const pool = new WorkerPool({
    url: new URL('../support/fragile-worker.ts', import.meta.url),
    workerData: undefined,
    threads,
    onChange: () => queue.pump(),
    limits: { closeWithinMs: 200, ...limits },
  })
  const queue = new RequestQueue(pool, {
    threads,
    tokensPerRun: 64,
    eventsPerRun: 8,
    equalLengths: false,
    tokensOf: (pulses) => pulses,
    ...more,
  })
  onTestFinished(() => pool.close())
  await pool.start()
  return { pool, queue }
}

/** Sound events whose first sensor is their index, but for one whose first time is a command to the worker. */
function eventsWith(command: number, at: number, events = 32): EventBatch {
  const batch = makeEvents(events)
  for (let event = 0; event < events; event++) batch.sensorIds[batch.offsets[event]] = event
  if (command) batch.times[batch.offsets[at]] = command
  return batch
}

const KILL = 1
const HANG = 2
const THROW = 3

describe('a worker that dies', () => {
  it('fails what it held as something to try again, and is replaced', async () => {
    const { pool, queue } = await open({ threads: 1 })
    await expect(queue.infer(eventsWith(KILL, 5))).rejects.toMatchObject({
      code: 'model_worker_died',
      disposition: 'retry',
      message: expect.stringMatching(/ended with code 7/),
    })
    expect(pool.alive).toBe(0)
    await expect(queue.infer(eventsWith(0, 0))).rejects.toThrow(
      /all worker threads of the model have ended and are being restarted; the last: .* ended with code 7/,
    )
    await until(() => pool.alive === 1, { what: 'the new worker' })
    expect([...(await queue.infer(eventsWith(0, 0))).azimuth]).toEqual(
      Array.from({ length: 32 }, (_, i) => i),
    )
  })

  it('leaves the others at work', async () => {
    const { pool, queue } = await open({ threads: 2, pool: { restartAfterMs: 60_000 } })
    await expect(queue.infer(eventsWith(KILL, 0, 1))).rejects.toMatchObject({ code: 'model_worker_died' })
    expect(pool.alive).toBe(1)
    expect((await queue.infer(eventsWith(0, 0))).azimuth).toHaveLength(32)
  })

  it('is replaced ever more slowly while it keeps dying', async () => {
    const { pool, queue } = await open({ threads: 1, pool: { restartAfterMs: 20 } })
    const waitsMs: number[] = []
    for (let death = 0; death < 4; death++) {
      await expect(queue.infer(eventsWith(KILL, 0, 1))).rejects.toMatchObject({
        code: 'model_worker_died',
      })
      waitsMs.push(pool.restartAfterMs)
      await until(() => pool.alive === 1)
    }
    // Each pause is shortened by a random share of up to half.
    for (const [death, waitMs] of waitsMs.entries()) {
      expect(waitMs).toBeLessThanOrEqual(20 * 2 ** death)
      expect(waitMs).toBeGreaterThanOrEqual(10 * 2 ** death)
    }
  })

  it('fails requests that no worker has begun if it was the last worker', async () => {
    const { queue } = await open({ threads: 1, pool: { restartAfterMs: 60_000 } })
    const asked = [eventsWith(KILL, 0), ...Array.from({ length: 20 }, () => eventsWith(0, 0))]
    const answers = await Promise.allSettled(asked.map((batch) => queue.infer(batch)))
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'model_worker_died' } })
    }
  })
})

describe('inferIsolating', () => {
  it.each([
    {
      what: 'ends a worker',
      command: KILL,
      says: /ends the process that runs the model: .* ended with code 7/,
    },
    { what: 'makes a worker throw', command: THROW, says: /fails on this event alone: it threw/ },
  ])('makes a fault of the one event that $what, and answers its neighbours', async ({ command, says }) => {
    const parts = await open({ threads: 2, pool: { restartAfterMs: 20 } })
    const { azimuth, faults } = await inferIsolating(eventsWith(command, 5), parts)
    expect(faults).toEqual([{ index: 5, code: 'model_failed', message: expect.stringMatching(says) }])
    expect([...azimuth]).toEqual(Array.from({ length: 32 }, (_, i) => (i === 5 ? Number.NaN : i)))
  })

  it('answers a batch that shared a job with the events that end a worker', async () => {
    const parts = await open({ threads: 1, pool: { restartAfterMs: 20 } })
    const [bad, good] = await Promise.all([
      inferIsolating(eventsWith(KILL, 0, 1), parts),
      inferIsolating(eventsWith(0, 0, 4), parts),
    ])
    expect(bad.faults).toMatchObject([{ index: 0 }])
    expect(good.faults).toEqual([])
    expect([...good.azimuth]).toEqual([0, 1, 2, 3])
  })

  it('throws where no worker is left before it begins', async () => {
    const parts = await open({ threads: 1, pool: { restartAfterMs: 60_000 } })
    await expect(parts.queue.infer(eventsWith(KILL, 0, 1))).rejects.toThrow()
    await expect(inferIsolating(eventsWith(0, 0), parts)).rejects.toMatchObject({ code: 'model_worker_died' })
  })
})

describe('a worker that does not answer', () => {
  it('fails what it held at the deadline, gets nothing more, and the others go on', async () => {
    const { pool, queue } = await open({ threads: 2, pool: { jobWithinMs: 200 } })
    await expect(queue.infer(eventsWith(HANG, 0, 1))).rejects.toMatchObject({
      code: 'model_worker_died',
      message: expect.stringMatching(/did not answer within 200 ms/),
    })
    expect(pool.alive).toBe(1)
    expect((await queue.infer(eventsWith(0, 0))).azimuth).toHaveLength(32)
  })
})

describe('RequestQueue over worker threads', () => {
  it('fails only the request that a worker fails on', async () => {
    const { queue } = await open()
    const bad = queue.infer(eventsWith(THROW, 3))
    await expect(bad).rejects.toThrow('it threw')
    expect((await queue.infer(eventsWith(0, 0))).azimuth).toHaveLength(32)
  })

  it('refuses what would wait too long', async () => {
    const { queue } = await open({ threads: 1, queue: { eventsMax: 100 } })
    const taken = Array.from({ length: 3 }, () => queue.infer(eventsWith(0, 0)))
    const all = Array.from({ length: 10 }, async () => queue.infer(eventsWith(0, 0)))
    const answers = await Promise.allSettled(all)
    const refused = answers.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    expect(refused[0]).toMatchObject({ reason: { code: 'model_overloaded', retryAfterSeconds: 1 } })
    await Promise.all(taken)
  })

  it('takes one request of any size when nothing else waits', async () => {
    const { queue } = await open({ queue: { eventsMax: 10 } })
    expect((await queue.infer(eventsWith(0, 0, 500))).azimuth).toHaveLength(500)
  })
})
