import { describe, expect, it, onTestFinished } from 'vitest'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { Scheduler, type SchedulerOptions } from '../../src/inference/network/scheduler.ts'
import { WorkerPool, type WorkerPoolOptions } from '../../src/inference/network/worker-pool.ts'
import { makeEvents } from '../support/plain-events.ts'
import { until } from '../support/until.ts'

interface Options {
  readonly threads?: number
  readonly pool?: WorkerPoolOptions['limits']
  readonly scheduler?: Partial<SchedulerOptions>
}

/** Closed when the test is over. */
async function open({ threads = 2, pool: limits, scheduler: more }: Options = {}) {
  const pool = new WorkerPool({
    url: new URL('../support/fragile-worker.ts', import.meta.url),
    workerData: undefined,
    threads,
    onChange: () => scheduler.pump(),
    limits: { closeWithinMs: 200, ...limits },
  })
  const scheduler = new Scheduler(pool, {
    threads,
    tokensPerRun: 64,
    eventsPerRun: 8,
    equalLengths: false,
    tokensOf: (pulses) => pulses,
    ...more,
  })
  onTestFinished(() => pool.close())
  await pool.start()
  return { pool, scheduler }
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
    const { pool, scheduler } = await open({ threads: 1 })
    await expect(scheduler.infer(eventsWith(KILL, 5))).rejects.toMatchObject({
      code: 'model_worker_died',
      disposition: 'retry',
      message: expect.stringMatching(/ended with code 7/),
    })
    expect(pool.alive).toBe(0)
    expect(() => scheduler.throwIfUnable(1)).toThrow(
      /no worker thread of the model is left, they restart; the last: .* ended with code 7/,
    )
    await until(() => pool.alive === 1, { what: 'the new worker' })
    expect([...(await scheduler.infer(eventsWith(0, 0))).azimuth]).toEqual(
      Array.from({ length: 32 }, (_, i) => i),
    )
  })

  it('leaves the others at work', async () => {
    const { pool, scheduler } = await open({ threads: 2, pool: { restartAfterMs: 60_000 } })
    await expect(scheduler.infer(eventsWith(KILL, 0, 1))).rejects.toMatchObject({ code: 'model_worker_died' })
    expect(pool.alive).toBe(1)
    expect((await scheduler.infer(eventsWith(0, 0))).azimuth).toHaveLength(32)
  })

  it('is replaced ever more slowly while it keeps dying', async () => {
    const { pool, scheduler } = await open({ threads: 1, pool: { restartAfterMs: 20 } })
    const waitsMs: number[] = []
    for (let death = 0; death < 4; death++) {
      await expect(scheduler.infer(eventsWith(KILL, 0, 1))).rejects.toMatchObject({
        code: 'model_worker_died',
      })
      waitsMs.push(pool.restartAfterMs)
      await until(() => pool.alive === 1)
    }
    expect(waitsMs).toEqual([20, 40, 80, 160])
  })

  it('fails requests that nobody has begun when it was the last', async () => {
    const { scheduler } = await open({ threads: 1, pool: { restartAfterMs: 60_000 } })
    const asked = [eventsWith(KILL, 0), ...Array.from({ length: 20 }, () => eventsWith(0, 0))]
    const answers = await Promise.allSettled(asked.map((batch) => scheduler.infer(batch)))
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'model_worker_died' } })
    }
  })
})

describe('a worker that does not answer', () => {
  it('fails what it held at the deadline, gets nothing more, and the others go on', async () => {
    const { pool, scheduler } = await open({ threads: 2, pool: { jobWithinMs: 200 } })
    await expect(scheduler.infer(eventsWith(HANG, 0, 1))).rejects.toMatchObject({
      code: 'model_worker_died',
      message: expect.stringMatching(/did not answer within 200 ms/),
    })
    expect(pool.alive).toBe(1)
    expect((await scheduler.infer(eventsWith(0, 0))).azimuth).toHaveLength(32)
  })
})

describe('Scheduler', () => {
  it('fails only the request that a worker fails on', async () => {
    const { scheduler } = await open()
    const bad = scheduler.infer(eventsWith(THROW, 3))
    await expect(bad).rejects.toThrow('it threw')
    expect((await scheduler.infer(eventsWith(0, 0))).azimuth).toHaveLength(32)
  })

  it('refuses what would wait too long', async () => {
    const { scheduler } = await open({ threads: 1, scheduler: { waitingEventsMax: 100 } })
    const taken = Array.from({ length: 3 }, () => scheduler.infer(eventsWith(0, 0)))
    const all = Array.from({ length: 10 }, async () => scheduler.infer(eventsWith(0, 0)))
    const answers = await Promise.allSettled(all)
    const refused = answers.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    expect(refused[0]).toMatchObject({ reason: { code: 'model_overloaded', retryAfterSeconds: 1 } })
    await Promise.all(taken)
  })

  it('takes one request of any size when nothing else waits', async () => {
    const { scheduler } = await open({ scheduler: { waitingEventsMax: 10 } })
    expect((await scheduler.infer(eventsWith(0, 0, 500))).azimuth).toHaveLength(500)
  })
})
