import { describe, expect, it, onTestFinished } from 'vitest'
import { fakeWorkers } from '../../../test/support/fake-workers.ts'
import { makeEvents } from '../../../test/support/plain-events.ts'
import { UnavailableError } from '../../errors.ts'
import type { EventBatch } from '../../event/event-batch.ts'
import { type QueueOptions, RequestQueue } from './queue.ts'
import type { TensorCall } from './request.ts'

/** Workers that answer when the test says so; of an event they answer its first time in every column (see fakeWorkers). */
function open(options: Partial<QueueOptions> = {}, workersMax = 1) {
  const watched = { waiting: 0, sizes: [] as number[], waits: [] as number[], finished: 0 }
  const workers = fakeWorkers({ free: workersMax, isManual: true, onChange: () => queue.pump() })
  const queue: RequestQueue = new RequestQueue(workers, {
    threads: 1,
    tokensPerRun: 100_000,
    eventsPerRun: 100_000,
    equalLengths: false,
    tokensOf: (pulses) => pulses,
    watch: {
      waiting(change) {
        watched.waiting += change
      },
      begun(_kind, events, waits) {
        watched.sizes.push(events)
        watched.waits.push(...waits)
      },
      finished() {
        watched.finished++
      },
    },
    ...options,
  })
  return { queue, workers, watched }
}

/** Events that are told by the time of their first pulse. */
function events(...times: number[]): EventBatch {
  const batch = makeEvents(times.length, 1, { pulsesPerEvent: 2 })
  for (const [event, time] of times.entries()) batch.times[batch.offsets[event]] = time
  return batch
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))))

describe('RequestQueue', () => {
  it('sends what is there at once, and gathers requests only while all workers are busy', async () => {
    const { queue, workers, watched } = open()
    const first = queue.infer(events(1))
    await turn()
    const others = [2, 3, 4].map((time) => queue.infer(events(time)))
    await turn()
    expect(watched.sizes).toEqual([1])
    expect(watched.waiting).toBe(3)
    workers.jobs[0].finish()
    expect([...(await first).azimuth]).toEqual([1])
    await turn()
    expect(watched.sizes).toEqual([1, 3])
    workers.jobs[1].finish()
    expect((await Promise.all(others)).map(({ azimuth }) => [...azimuth])).toEqual([[2], [3], [4]])
    await turn()
    expect(watched.finished).toBe(2)
    expect(watched.waits).toHaveLength(4)
  })

  it('gives every request its own values of every column, and its own faults with its own indices', async () => {
    const { queue, workers } = open()
    const asked = [events(10, 11), events(-1, 20, -2), events(30)].map((batch) => queue.infer(batch))
    await turn()
    workers.jobs[0].finish()
    const answers = await Promise.all(asked)
    expect(answers.map(({ azimuth }) => [...azimuth])).toEqual([[10, 11], [Number.NaN, 20, Number.NaN], [30]])
    expect(answers.map(({ zenith }) => [...zenith])).toEqual([
      [1010, 1011],
      [Number.NaN, 1020, Number.NaN],
      [1030],
    ])
    expect(answers.map(({ kappa }) => [...kappa])).toEqual([
      [2010, 2011],
      [Number.NaN, 2020, Number.NaN],
      [2030],
    ])
    expect(answers.map(({ degenerate }) => [...degenerate])).toEqual([[0, 1], [0, 0, 0], [0]])
    expect(answers.map(({ faults }) => faults.map(({ index }) => index))).toEqual([[], [0, 2], []])
  })

  it('merges requests of one turn, up to a window', async () => {
    const { queue, watched } = open({}, 9)
    for (let request = 0; request < 6; request++) void queue.infer(events(...Array<number>(128).fill(1)))
    await turn()
    expect(watched.sizes).toEqual([512, 256])
  })

  it('keeps a request that must be alone from sharing a job, and keeps the order', async () => {
    const { queue, watched } = open({}, 9)
    void queue.infer(events(1))
    void queue.infer(events(2), { isAlone: true })
    void queue.infer(events(3))
    void queue.infer(events(4))
    await turn()
    expect(watched.sizes).toEqual([1, 1, 2])
  })

  it.each([
    { waiting: 3, size: 1, fits: false },
    { waiting: 2, size: 1, fits: true },
    { waiting: 1, size: 2, fits: true },
    { waiting: 1, size: 3, fits: false },
  ])('with $waiting of 3 events waiting, a request of $size fits: $fits', async ({ waiting, size, fits }) => {
    const { queue, workers } = open({ eventsMax: 3 })
    void queue.infer(events(1))
    await turn()
    void queue.infer(events(...Array<number>(waiting).fill(2)))
    const asked = queue.infer(events(...Array<number>(size).fill(3))).then(
      () => true,
      (error) => error,
    )
    await turn()
    workers.jobs[0].finish()
    await turn()
    workers.jobs.at(-1)?.finish()
    const result = await asked
    if (fits) expect(result).toBe(true)
    else expect(result).toMatchObject({ code: 'model_overloaded', retryAfterSeconds: 1 })
  })

  it('takes a request larger than its bound when nothing else waits', async () => {
    const { queue, workers } = open({ eventsMax: 3 })
    const asked = queue.infer(events(1, 2, 3, 4, 5))
    await turn()
    workers.jobs[0].finish()
    expect([...(await asked).azimuth]).toEqual([1, 2, 3, 4, 5])
  })

  it('refuses what slow workers could not answer in time, and takes it again when they are faster', async () => {
    const { queue, workers } = open({ deadlineMs: 2_000, eventsPerRun: 1 })
    const asked = [1, 2, 3, 4].map((time) => queue.infer(events(time)))
    await turn()
    await new Promise((resolve) => setTimeout(resolve, 300))
    workers.jobs[0].finish()
    await turn()
    workers.jobs[1].finish()
    await turn()
    // Two events in about 300 ms: with two waiting or at work, ten more would wait for more than 1 s.
    const refused = queue.infer(events(...Array<number>(10).fill(5)))
    await expect(refused).rejects.toMatchObject({ code: 'model_overloaded', retryAfterSeconds: 1 })
    for (const at of [2, 3]) {
      workers.jobs[at].finish()
      await turn()
    }
    await Promise.all(asked)
    const again = queue.infer(events(...Array<number>(10).fill(5)))
    await turn()
    while (workers.jobs.some(({ isDone }) => !isDone)) {
      for (const job of workers.jobs) job.finish()
      await turn()
    }
    expect((await again).azimuth).toHaveLength(10)
  })

  it('answers the first requests of an overload if the model is slow', async () => {
    const deadlineMs = 1_000
    const workers = fakeWorkers({ free: 2, msPerEvent: 10, onChange: () => queue.pump() })
    onTestFinished(() => workers.close())
    const queue: RequestQueue = new RequestQueue(workers, {
      threads: 2,
      tokensPerRun: 128,
      eventsPerRun: 64,
      equalLengths: false,
      tokensOf: (pulses) => pulses,
      deadlineMs,
    })
    // Later events are shorter, so that sorting by length alone would answer them first.
    const flood = Array.from({ length: 200 }, (_, at) => makeEvents(1, at, { pulsesPerEvent: 250 - at }))
    const answers = await Promise.allSettled(flood.map((batch) => queue.infer(batch)))
    const answered = answers.map(({ status }) => status === 'fulfilled')
    // The workers can answer a hundred at most.
    expect(answered.filter(Boolean).length).toBeGreaterThan(25)
    expect(answered.slice(0, 20)).not.toContain(false)
  })

  it('forgets a request whose caller is gone: at once where it waits, before its job begins otherwise', async () => {
    const { queue, workers, watched } = open()
    const [one, two] = [new AbortController(), new AbortController()]
    const first = queue.infer(events(1))
    await turn()
    const gone = [
      queue.infer(events(2), { signal: one.signal }),
      queue.infer(events(3), { signal: two.signal }),
    ]
    expect(watched.waiting).toBe(2)
    one.abort(new Error('gone'))
    two.abort(new Error('gone'))
    for (const each of gone) await expect(each).rejects.toThrow('gone')
    expect(watched.waiting).toBe(0)
    workers.jobs[0].finish()
    await first
    await turn()
    expect(workers.jobs).toHaveLength(1)
  })

  it('skips a planned job whose requests are all cancelled', async () => {
    const { queue, workers, watched } = open({ eventsPerRun: 1 })
    const caller = new AbortController()
    const asked = queue.infer(events(1, 2, 3), { signal: caller.signal })
    await turn()
    caller.abort(new Error('gone'))
    await expect(asked).rejects.toThrow('gone')
    workers.jobs[0].finish()
    await turn()
    expect(workers.jobs).toHaveLength(1)
    expect(watched.finished).toBe(1)
    const next = queue.infer(events(4))
    await turn()
    workers.jobs[1].finish()
    expect([...(await next).azimuth]).toEqual([4])
  })

  it('does not begin a request whose signal has aborted already', async () => {
    const { queue, workers } = open()
    await expect(queue.infer(events(1), { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
      'gone',
    )
    await turn()
    expect(workers.jobs).toHaveLength(0)
  })

  it('fails a request at its deadline, and its place is free again', async () => {
    const { queue, workers, watched } = open({ deadlineMs: 20 })
    const asked = [queue.infer(events(1))]
    await turn()
    asked.push(queue.infer(events(2)))
    const late = { status: 'rejected', reason: { name: 'OutOfTime', message: 'no answer within 20 ms' } }
    expect(await Promise.allSettled(asked)).toMatchObject([late, late])
    expect(watched.waiting).toBe(0)
    workers.jobs[0].finish()
    await turn()
    const next = queue.infer(events(3))
    await turn()
    workers.jobs[1].finish()
    expect([...(await next).azimuth]).toEqual([3])
  })

  it('passes a failure to the requests that shared the job, and continues', async () => {
    const { queue, workers } = open()
    const asked = [queue.infer(events(1)), queue.infer(events(2))]
    await turn()
    workers.jobs[0].finish(new Error('broken'))
    for (const each of asked) await expect(each).rejects.toThrow('broken')
    const next = queue.infer(events(3))
    await turn()
    workers.jobs[1].finish()
    expect([...(await next).azimuth]).toEqual([3])
  })

  it('abandon() fails what waits and what is planned, and leaves what is with a worker', async () => {
    const { queue, workers, watched } = open({ eventsPerRun: 1 })
    const asked = [queue.infer(events(1)), queue.infer(events(2))]
    await turn()
    asked.push(queue.infer(events(3)))
    queue.abandon(new UnavailableError('model_worker_died', 'closed'))
    workers.jobs[0].finish()
    const closed = { status: 'rejected', reason: { message: 'closed' } }
    expect(await Promise.allSettled(asked)).toMatchObject([{ status: 'fulfilled' }, closed, closed])
    expect(watched.waiting).toBe(0)
  })

  it('answers no events at once', async () => {
    expect((await open().queue.infer(events())).azimuth).toHaveLength(0)
  })
})

/** Rows of one value each; the fake network doubles them. */
function tensors(
  values: readonly number[],
  { width = 1, perRun = 4, outputs = ['double'] } = {},
): TensorCall {
  const data = Float32Array.from(values.flatMap((value) => Array<number>(width).fill(value)))
  return {
    inputs: { x: { dtype: 'float32', shape: [values.length, width], data } },
    outputs,
    rows: { count: values.length, perRun },
  }
}

const doubles = (outputs: Awaited<ReturnType<RequestQueue['runTensors']>>) => [...outputs['double'].data]

describe('RequestQueue with tensors', () => {
  it('runs requests of equal shape together, and gives each its own rows', async () => {
    const { queue, workers, watched } = open()
    const asked = [[1], [2, 3], [4]].map((values) => queue.runTensors(tensors(values)))
    await turn()
    workers.jobs[0].finish()
    const answers = await Promise.all(asked)
    expect(answers.map(doubles)).toEqual([[2], [4, 6], [8]])
    expect(answers.map((outputs) => outputs['double'].shape)).toEqual([[1], [2], [1]])
    expect(watched.sizes).toEqual([4])
    expect(workers.jobs).toHaveLength(1)
  })

  it.each([
    { what: 'of another width', other: tensors([3], { width: 2 }) },
    { what: 'that want other outputs', other: tensors([3], { outputs: ['other', 'double'] }) },
    { what: 'whose first axis counts no events', other: { ...tensors([3]), rows: undefined } },
  ])('keeps apart requests $what', async ({ other }) => {
    const { queue, watched } = open({}, 9)
    void queue.runTensors(tensors([1]))
    void queue.runTensors(other)
    await turn()
    expect(watched.sizes).toEqual([1, 1])
  })

  it('keeps tensors apart from events', async () => {
    const { queue, watched } = open({}, 9)
    void queue.infer(events(1))
    void queue.runTensors(tensors([1]))
    void queue.infer(events(2))
    await turn()
    expect(watched.sizes).toEqual([1, 1, 1])
  })

  it.each([
    { rows: 8, sizes: [4, 4] },
    { rows: 9, sizes: [4, 4, 1] },
    { rows: 4, sizes: [4] },
  ])('runs $rows rows in parts of $sizes', async ({ rows, sizes }) => {
    const { queue, workers } = open({}, 9)
    const values = Array.from({ length: rows }, (_, row) => row)
    const asked = queue.runTensors(tensors(values))
    await turn()
    for (const job of workers.jobs.toReversed()) job.finish()
    expect(doubles(await asked)).toEqual(values.map((value) => 2 * value))
    expect(workers.jobs.map(({ size }) => size)).toEqual(sizes)
    // A message carries all memory behind a view, so each part has memory of its own.
    for (const job of workers.jobs) {
      if (rows > 4 && job.job.kind === 'tensors')
        expect(job.job.inputs['x'].data.buffer.byteLength).toBe(4 * job.size)
    }
  })

  it('runs tensors of no rows, for the shape of their outputs', async () => {
    const { queue, workers } = open()
    const asked = queue.runTensors(tensors([]))
    await turn()
    workers.jobs[0].finish()
    expect((await asked)['double'].shape).toEqual([0])
  })

  it('runs the requests of a job that failed one by one, so that only the one at fault fails', async () => {
    const { queue, workers } = open({}, 9)
    const asked = [[1], [2], [3]].map((values) => queue.runTensors(tensors(values)))
    await turn()
    workers.jobs[0].finish(new Error('index out of range'))
    await turn()
    for (const job of workers.jobs.slice(1))
      job.finish(job.job.kind === 'tensors' && job.job.inputs['x'].data[0] === 2 ? new Error('2') : undefined)
    expect(await Promise.allSettled(asked)).toMatchObject([
      { status: 'fulfilled' },
      { status: 'rejected', reason: { message: '2' } },
      { status: 'fulfilled' },
    ])
    expect(workers.jobs).toHaveLength(4)
  })

  it('does not repeat a request that failed alone, nor one whose worker ended', async () => {
    const { queue, workers } = open({}, 9)
    const alone = queue.runTensors(tensors([1]))
    await turn()
    workers.jobs[0].finish(new Error('broken'))
    await expect(alone).rejects.toThrow('broken')
    const together = [queue.runTensors(tensors([1])), queue.runTensors(tensors([2]))]
    await turn()
    workers.jobs[1].finish(new UnavailableError('model_worker_died', 'ended'))
    for (const each of together) await expect(each).rejects.toThrow('ended')
    await turn()
    expect(workers.jobs).toHaveLength(2)
  })
})
