import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { listSource } from '../../test/support/list-source.ts'
import { randomEvents } from '../../test/support/random-events.ts'
import { eventCount } from '../event/event-batch.ts'
import type { EventSource, SourceChunk } from '../source/source.ts'
import { createPacer, type FormedBatch, type FormOptions, formBatches } from './batches.ts'

const NEVER = new AbortController().signal

function options(source: EventSource, over: Partial<FormOptions> = {}): FormOptions {
  return {
    source,
    place: { pass: 0, at: undefined, skip: 0 },
    eventsLeft: Number.POSITIVE_INFINITY,
    loop: false,
    eventsMax: 8,
    pulsesMax: 1_000_000,
    lingerMs: 100,
    pacer: createPacer('max', () => performance.now()),
    signal: NEVER,
    ...over,
  }
}

const idsOf = ({ slices }: FormedBatch): bigint[] => slices.flatMap((slice) => [...slice.eventIds])

describe('formBatches()', () => {
  it.for([
    { name: 'fills batches over the ends of chunks', over: {}, sizes: [8, 8, 4] },
    { name: 'closes a batch before it has too many pulses', over: { pulsesMax: 20 }, pulses: 20 },
    {
      name: 'gives one event alone that has more pulses than a batch may',
      over: { pulsesMax: 1 },
      pulses: 9,
    },
    { name: 'stops at the events that are left', over: { eventsLeft: 11 }, sizes: [8, 3] },
    { name: 'forms nothing when none are left', over: { eventsLeft: 0 }, sizes: [] },
  ])('$name', async ({ over, sizes, pulses }) => {
    const source = listSource({ events: 20, chunk: 6 })
    const batches = await Array.fromAsync(formBatches(options(source, over)))
    expect(batches.flatMap(idsOf)).toEqual(source.ids.slice(0, over.eventsLeft))
    if (sizes) expect(batches.map(({ events }) => events)).toEqual(sizes)
    if (pulses) expect(Math.max(...batches.map((batch) => batch.pulses))).toBeLessThanOrEqual(pulses)
  })

  it('gives the events before the source failed, then throws its error', async () => {
    const source = listSource({ events: 10, chunk: 5 })
    const breaking: EventSource = {
      ...source,
      async *read(readOptions) {
        yield* source.read(readOptions)
        throw new Error('a broken page')
      },
    }
    const ids: bigint[] = []
    const form = async () => {
      for await (const batch of formBatches(options(breaking))) ids.push(...idsOf(batch))
    }
    await expect(form()).rejects.toThrow('a broken page')
    expect(ids).toEqual(source.ids)
  })

  it('ends a batch before a repeated id', async () => {
    const events = randomEvents({ events: 4 })
    events.eventIds.set([1n, 2n, 1n, 3n])
    const batches = await Array.fromAsync(
      formBatches(options(sourceOf([{ events, rejected: [], resume: '1' }]))),
    )
    expect(batches.map(idsOf)).toEqual([
      [1n, 2n],
      [1n, 3n],
    ])
  })

  it('gives positions from which any other batch size resumes without loss or repeat', async () => {
    const source = listSource({ events: 60, chunk: 9, rejectEvery: 3 })
    for (const eventsMax of [1, 3, 8, 10]) {
      const batches = await Array.fromAsync(formBatches(options(source, { eventsMax })))
      for (const [i, { place }] of batches.entries()) {
        // Of the rest only the first batch is taken, and another emitter goes on after that.
        const [next] = await Array.fromAsync(formBatches(options(source, { place, eventsMax: 2 })))
        const later = { place: next?.place ?? place, eventsMax: 11 }
        const rest = await Array.fromAsync(formBatches(options(source, later)))
        const all = [...batches.slice(0, i + 1), ...(next ? [next] : []), ...rest]
        expect(all.flatMap(idsOf)).toEqual(source.ids)
        expect(all.flatMap(({ rejected }) => rejected.map(({ eventId }) => eventId))).toEqual(source.rejected)
      }
    }
  })

  it('ends after its last batch, and throws the reason of an abort', async () => {
    const source = listSource({ events: 20, chunk: 6 })
    const ended = formBatches(options(source, { eventsMax: 100 }))
    await ended.next()
    expect(await ended.next()).toEqual({ done: true, value: undefined })
    const stop = new AbortController()
    const aborted = formBatches(options(source, { signal: stop.signal }))
    await aborted.next()
    stop.abort(new Error('stop'))
    await expect(aborted.next()).rejects.toThrow('stop')
  })

  it('ends when its reader has enough, also where the source waits for its next events', async () => {
    const source: EventSource = {
      ...listSource({ events: 20, chunk: 6 }),
      async *read(readOptions) {
        yield* listSource({ events: 8, chunk: 8 }).read(readOptions)
        await new Promise((resolve) => readOptions.signal.addEventListener('abort', resolve))
      },
    }
    const batches = formBatches(options(source))
    await batches.next()
    expect(await batches.return()).toMatchObject({ done: true })
  })
})

describe('formBatches() in time', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }))
  afterEach(() => void vi.useRealTimers())

  it('separates events that are due further apart than the linger time', async () => {
    const pacer = createPacer(20, () => performance.now(), 1)
    const source = listSource({ events: 200, chunk: 50 })
    const batches = await Array.fromAsync(
      formBatches(options(source, { pacer, eventsMax: 256, lingerMs: 100 })),
    )
    expect(batches.flatMap(idsOf)).toEqual(source.ids)
    for (const { dueMs, readyMs } of batches) expect(readyMs - dueMs).toBeLessThanOrEqual(100)
    for (const [i, batch] of batches.slice(1).entries())
      expect(batch.dueMs).toBeGreaterThan(batches[i].dueMs + 100)
    const meanSize = 200 / batches.length
    expect(meanSize).toBeGreaterThan(2)
    expect(meanSize).toBeLessThan(5)
  })

  it('lets a batch go when the source gives nothing more for the linger time, and is not late after a pause', async () => {
    const gate = Promise.withResolvers<void>()
    const chunk = (id: number): SourceChunk => {
      const events = randomEvents({ events: 2, seed: id })
      events.eventIds.set([BigInt(id), BigInt(id + 1)])
      return { events, rejected: [], resume: String(id) }
    }
    async function* read() {
      yield chunk(1)
      await gate.promise
      yield chunk(3)
    }
    const source: EventSource = { spec: 'slow', count: async () => undefined, read }
    const pacer = createPacer(1000, () => performance.now())
    const batches = formBatches(options(source, { pacer }))
    const first = batches.next()
    await vi.advanceTimersByTimeAsync(150)
    expect(idsOf((await first).value as FormedBatch)).toEqual([1n, 2n])
    const second = batches.next()
    await vi.advanceTimersByTimeAsync(5_000)
    gate.resolve()
    await vi.advanceTimersByTimeAsync(200)
    const { dueMs } = (await second).value as FormedBatch
    expect(dueMs).toBeGreaterThanOrEqual(5_150)
  })
})

function sourceOf(chunks: readonly SourceChunk[]): EventSource {
  async function* read() {
    yield* chunks
  }
  return {
    spec: 'given',
    count: async () => chunks.reduce((sum, { events }) => sum + eventCount(events), 0),
    read,
  }
}

/** Due times of so many events on a clock that stands still. */
function dueTimes(events: number, rate: number, seed?: number): number[] {
  const pacer = createPacer(rate, () => 5_000, seed)
  return Array.from({ length: events }, () => {
    const dueMs = pacer.dueMs()
    pacer.advance()
    return dueMs
  })
}

describe('createPacer()', () => {
  it('makes independent arrivals at the mean rate', () => {
    const due = dueTimes(20_001, 3_000)
    const gaps = due.slice(1).map((ms, i) => ms - due[i])
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length)
    expect(due[0]).toBe(5_000)
    // 20,000 exponential gaps: both are known to 0.7 %.
    expect(mean / (1000 / 3_000)).toBeCloseTo(1, 1)
    expect(deviation / mean).toBeCloseTo(1, 1)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0)
  })

  it('makes the same arrivals from the same seed, others from another', () => {
    expect(dueTimes(10, 50, 7)).toEqual(dueTimes(10, 50, 7))
    expect(dueTimes(10, 50, 7)).not.toEqual(dueTimes(10, 50, 8))
  })

  it('keeps its schedule while it is not read, and moves it after the source was idle', () => {
    let nowMs = 1_000
    const pacer = createPacer(1, () => nowMs)
    pacer.dueMs()
    nowMs = 900_000
    pacer.advance()
    expect(pacer.dueMs()).toBeLessThan(20_000)
    pacer.restart(nowMs)
    expect(pacer.dueMs()).toBe(900_000)
  })

  it('has everything due at once at the rate max', () => {
    let nowMs = 1
    const pacer = createPacer('max', () => nowMs)
    pacer.advance()
    nowMs = 2
    expect(pacer.dueMs()).toBe(2)
  })
})
