import { describe, expect, it, type TestContext } from 'vitest'
import { type CoalesceLimits, Coalescer, type Work } from './coalesce.ts'

/** An ask is a list of numbers; its answer is their doubles. Asks of different sign do not share a batch. */
function open(limits: Partial<CoalesceLimits> = {}) {
  const batches: { numbers: number[]; signal: AbortSignal; finish: (error?: Error) => void }[] = []
  const watched = { sizes: [] as number[], refused: 0 }
  const work: Work<number[], number[]> = {
    size: (ask) => ask.length,
    joins: (first, next) => first[0] > 0 === next[0] > 0,
    run: (asks, signal) =>
      new Promise((resolve, reject) => {
        const answers = asks.map((ask) => ask.map((each) => 2 * each))
        const finish = (error?: Error) => (error ? reject(error) : resolve(answers))
        batches.push({ numbers: asks.flat(), signal, finish })
      }),
  }
  const coalescer = new Coalescer(
    work,
    {
      batchesAtWorkMax: 1,
      eventsAtWorkMax: 1000,
      eventsAtWorkMin: limits.eventsAtWorkMax ?? 1000,
      batchEventsMax: 4,
      queueEventsMax: 10,
      deadlineMs: 60_000,
      ...limits,
    },
    {
      dispatched: (events) => watched.sizes.push(events),
      ran: () => {},
      refused: () => {
        watched.refused += 1
      },
    },
  )
  return { coalescer, batches, watched }
}

/** A model that does one event in `ms`, and is shared equally by the batches that it has. */
function sharedModel({ onTestFinished }: TestContext, ms: number): Work<number, number> {
  const atWork: { asks: readonly number[]; left: number; done: (answers: readonly number[]) => void }[] = []
  let next = 0
  const timer = setInterval(() => {
    const batch = atWork[next++ % atWork.length]
    if (batch === undefined || --batch.left > 0) return
    atWork.splice(atWork.indexOf(batch), 1)
    batch.done(batch.asks)
  }, ms)
  onTestFinished(() => clearInterval(timer))
  return {
    size: () => 1,
    joins: () => true,
    run: (asks, signal) =>
      new Promise((resolve, reject) => {
        const batch = { asks, left: asks.length, done: resolve }
        atWork.push(batch)
        signal.addEventListener('abort', () => {
          const at = atWork.indexOf(batch)
          if (at >= 0) atWork.splice(at, 1)
          reject(signal.reason)
        })
      }),
  }
}

const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
const sent = (batches: { numbers: number[] }[]) => batches.map(({ numbers }) => numbers)

describe('Coalescer', () => {
  it('sends what is there at once, and gathers only while the model is busy', async () => {
    const { coalescer, batches } = open()
    const first = coalescer.submit([1])
    await turn()
    const others = [[2], [3], [4], [5], [6]].map((ask) => coalescer.submit(ask))
    await turn()
    expect(sent(batches)).toEqual([[1]])
    batches[0].finish()
    expect(await first.answer).toEqual([2])
    await turn()
    expect(sent(batches)).toEqual([[1], [2, 3, 4, 5]])
    batches[1].finish()
    await turn()
    batches[2].finish()
    expect(await Promise.all(others.map(({ answer }) => answer))).toEqual([[4], [6], [8], [10], [12]])
  })

  it('merges what was asked in the same turn', async () => {
    const { coalescer, batches } = open()
    for (const ask of [[1], [2, 3]]) coalescer.submit(ask)
    await turn()
    expect(sent(batches)).toEqual([[1, 2, 3]])
  })

  it('keeps apart what does not join, and keeps the order', async () => {
    const { coalescer, batches } = open({ batchesAtWorkMax: 9 })
    for (const ask of [[1], [-2], [-3], [4]]) coalescer.submit(ask)
    await turn()
    expect(sent(batches)).toEqual([[1], [-2, -3], [4]])
  })

  it('gives the model no more events than it may hold, except of one large ask', async () => {
    const { coalescer, batches } = open({ batchesAtWorkMax: 9, eventsAtWorkMax: 3, queueEventsMax: 100 })
    for (const ask of [[1], [2], [3], [4]]) coalescer.submit(ask)
    coalescer.submit(Array(50).fill(5))
    await turn()
    expect(sent(batches)).toEqual([[1, 2, 3]])
    batches[0].finish()
    await turn()
    expect(sent(batches).slice(1)).toEqual([[4], Array(50).fill(5)])
  })

  it('refuses what the queue cannot hold and says when to come back', async () => {
    const { coalescer, watched } = open({ queueEventsMax: 3 })
    coalescer.submit([1])
    await turn()
    coalescer.submit([2, 3])
    expect(() => coalescer.submit([4, 5])).toThrow(
      expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 }),
    )
    coalescer.submit([6])
    expect(watched.refused).toBe(1)
    expect(coalescer.queuedEvents).toBe(3)
  })

  it('refuses what a slow model could not answer in time, and takes it again when the model is faster', async () => {
    const { coalescer, batches, watched } = open({
      batchEventsMax: 1,
      queueEventsMax: 1000,
      deadlineMs: 2000,
    })
    const asked = [1, 2, 3, 4].map((each) => coalescer.submit([each]))
    await turn()
    await new Promise((resolve) => setTimeout(resolve, 300))
    batches[0].finish()
    await turn()
    // One event in about 300 ms: with one at work and two waiting, a fourth would wait for more than 1 s.
    expect(() => coalescer.submit([5])).toThrow(
      expect.objectContaining({ code: 'overloaded', retryAfterSeconds: 1 }),
    )
    expect(watched.refused).toBe(1)
    for (const at of [1, 2, 3]) {
      batches[at].finish()
      await turn()
    }
    expect(await Promise.all(asked.map(({ answer }) => answer))).toEqual([[2], [4], [6], [8]])
    for (const each of [5, 6, 7, 8]) coalescer.submit([each]).answer.catch(() => {})
    await turn()
    expect(watched.refused).toBe(1)
  })

  it('gives a model more at once while it is done soon, and less when that takes long', async () => {
    const limits = { batchesAtWorkMax: 9, eventsAtWorkMin: 2, batchEventsMax: 50, queueEventsMax: 100 }
    const { coalescer, batches, watched } = open({ ...limits, deadlineMs: 4_000 })
    for (let each = 1; each <= 30; each++) coalescer.submit([each]).answer.catch(() => {})
    await turn()
    for (const at of [0, 1]) {
      batches[at].finish()
      await turn()
    }
    expect(watched.sizes).toEqual([2, 4, 8])
    await new Promise((resolve) => setTimeout(resolve, 1_000)) // twice what it ought to take
    batches[2].finish()
    await turn()
    expect(watched.sizes.at(-1)).toBeLessThanOrEqual(4)
    expect(watched.sizes.at(-1)).toBeGreaterThanOrEqual(2)
  })

  it('of a flood a slow model answers those who came first, not nobody', async (t) => {
    const deadlineMs = 1_000
    const limits = { batchesAtWorkMax: 99, eventsAtWorkMax: 256, batchEventsMax: 64, queueEventsMax: 1000 }
    const coalescer = new Coalescer(
      sharedModel(t, 10),
      { ...limits, eventsAtWorkMin: 4, deadlineMs },
      { dispatched() {}, ran() {}, refused() {} },
    )
    const answers = await Promise.allSettled(
      Array.from({ length: 200 }, (_, each) => coalescer.submit(each).answer),
    )
    const answered = answers.map(({ status }) => status === 'fulfilled')
    const count = answered.filter(Boolean).length
    // It can do a hundred at most.
    expect(count).toBeGreaterThan(25)
    expect(answered.slice(0, 20)).not.toContain(false)
  })

  it('takes an ask larger than the queue when nothing waits', async () => {
    const { coalescer, batches } = open({ queueEventsMax: 3 })
    const { answer } = coalescer.submit([1, 2, 3, 4, 5])
    await turn()
    batches[0].finish()
    expect(await answer).toEqual([2, 4, 6, 8, 10])
  })

  it('lets a cancelled ask go: from the queue at once, from the model when nobody else wants its batch', async () => {
    const { coalescer, batches } = open()
    const [one, two] = [coalescer.submit([1]), coalescer.submit([2])]
    await turn()
    const waiting = coalescer.submit([3])
    waiting.cancel()
    expect(coalescer.queuedEvents).toBe(0)
    await expect(waiting.answer).rejects.toMatchObject({ code: 'closing' })
    one.cancel()
    await expect(one.answer).rejects.toThrow()
    expect(batches[0].signal.aborted).toBe(false)
    two.cancel()
    await expect(two.answer).rejects.toThrow()
    expect(batches[0].signal.aborted).toBe(true)
  })

  it('answers an ask that is out of time, and frees its place', async () => {
    const { coalescer, batches } = open({ deadlineMs: 20 })
    const atWork = coalescer.submit([1])
    await turn()
    const waiting = coalescer.submit([2])
    const late = { status: 'rejected', reason: { code: 'deadline_exceeded' } }
    expect(await Promise.allSettled([atWork.answer, waiting.answer])).toMatchObject([late, late])
    expect(coalescer.queuedEvents).toBe(0)
    expect(batches[0].signal.aborted).toBe(true)
    batches[0].finish()
    const next = coalescer.submit([3])
    await turn()
    batches[1].finish()
    expect(await next.answer).toEqual([6])
  })

  it('hands a failure to those who shared the batch, and goes on', async () => {
    const { coalescer, batches } = open()
    const asked = [[1], [2]].map((ask) => coalescer.submit(ask))
    await turn()
    batches[0].finish(new Error('broken'))
    for (const { answer } of asked) await expect(answer).rejects.toThrow('broken')
    const next = coalescer.submit([3])
    await turn()
    batches[1].finish()
    expect(await next.answer).toEqual([6])
  })

  it('close() takes nothing new and waits for what it holds', async () => {
    const { coalescer, batches } = open()
    const asked = [[1, 1, 1, 1], [2]].map((ask) => coalescer.submit(ask))
    let isClosed = false
    const closed = coalescer.close().then(() => {
      isClosed = true
    })
    expect(() => coalescer.submit([3])).toThrow(expect.objectContaining({ code: 'closing' }))
    await turn()
    batches[0].finish()
    await turn()
    expect(isClosed).toBe(false)
    batches[1].finish()
    await closed
    expect(await Promise.all(asked.map(({ answer }) => answer))).toEqual([[2, 2, 2, 2], [4]])
    await coalescer.close()
  })
})
