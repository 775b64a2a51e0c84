import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import {
  azimuthOf,
  type FaultPlan,
  FaultyInferrer,
  onEvent,
  TestInferrer,
  withOdds,
} from '../../test/support/faulty-inferrer.ts'
import { makeEvents } from '../../test/support/plain-events.ts'
import { UnavailableError } from '../errors.ts'
import type { Inference, Inferrer } from '../inference/inferrer.ts'
import { type AskOptions, askModel } from './ask-model.ts'
import { createSlots } from './slots.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const NEVER = new AbortController().signal

function ask(inferrer: Inferrer, events = 16, given: Partial<AskOptions> = {}) {
  const reasons: string[] = []
  const answer = askModel(makeEvents(events), {
    inferrer,
    slots: createSlots(inferrer.concurrency),
    inferTimeoutMs: 60_000,
    modelTriesMax: 3,
    backoff: {},
    stopping: NEVER,
    giveUp: NEVER,
    onRetry: (reason) => reasons.push(reason),
    onCall: () => {},
    ...given,
  })
  answer.catch(() => {})
  return { answer, reasons }
}

function faulty(plan: FaultPlan): { inferrer: FaultyInferrer; inner: TestInferrer } {
  const inner = new TestInferrer()
  return { inferrer: new FaultyInferrer(inner, plan), inner }
}

async function settled<T>(promise: Promise<T>): Promise<T> {
  let isSettled = false
  const note = () => {
    isSettled = true
  }
  promise.then(note, note)
  for (let s = 0; s < 36_000 && !isSettled; s++) await vi.advanceTimersByTimeAsync(100)
  return promise
}

/** Every event has its own direction, but for those at fault. */
function expectAnswers({ azimuth, faults }: Inference, events: number, atFault: readonly number[]): void {
  const expected = Array.from({ length: events }, (_, i) =>
    atFault.includes(i + 1) ? Number.NaN : azimuthOf(i + 1),
  )
  expect(Array.from(azimuth)).toEqual(expected)
  expect(faults.map((fault) => fault.index + 1)).toEqual(atFault)
}

it('askModel() asks once where all is well', async () => {
  const { inferrer, inner } = faulty(() => undefined)
  expectAnswers(await settled(ask(inferrer).answer), 16, [])
  expect(inner.asked).toEqual([16])
})

it('askModel() waits for a model that is away, however long, and blames nobody', async () => {
  const { inferrer } = faulty((_, call) => (call < 100 ? 'away' : undefined))
  const { answer, reasons } = ask(inferrer)
  expectAnswers(await settled(answer), 16, [])
  expect(reasons).toHaveLength(100)
  expect(new Set(reasons)).toEqual(new Set(['model_unreachable']))
})

it('askModel() comes back when an overloaded model asked it to', async () => {
  let calls = 0
  const inner = new TestInferrer()
  const inferrer = Object.assign(Object.create(inner), {
    infer: (batch: Parameters<Inferrer['infer']>[0]) => {
      if (calls++ > 0) return inner.infer(batch)
      throw new UnavailableError('model_overloaded', 'full', { retryAfterSeconds: 20 })
    },
  })
  ask(inferrer)
  await vi.advanceTimersByTimeAsync(19_999)
  expect(calls).toBe(1)
  await vi.advanceTimersByTimeAsync(2_500)
  expect(calls).toBe(2)
})

it.each([
  { fault: 'fails', message: 'the model fails on this event alone' },
  { fault: 'dies', message: 'this event alone ends the process that runs the model' },
  { fault: 'hangs', message: 'the model does not answer for this event alone' },
] as const)(
  'askModel() finds the one event on which the model $fault, and its neighbours are answered',
  async (row) => {
    const { inferrer } = faulty(onEvent(11, row.fault))
    const inference = await settled(ask(inferrer).answer)
    expectAnswers(inference, 16, [11])
    expect(inference.faults[0]).toMatchObject({
      code: 'model_failed',
      message: expect.stringContaining(row.message),
    })
  },
)

it('askModel() finds several events at fault in one batch', async () => {
  const { inferrer } = faulty((batch) => {
    return [2n, 3n, 16n].some((id) => batch.eventIds.includes(id)) ? 'fails' : undefined
  })
  expectAnswers(await settled(ask(inferrer).answer), 16, [2, 3, 16])
})

it('askModel() believes a batch innocent that fails only now and then', async () => {
  const { inferrer } = faulty((_, call) => (call < 2 ? 'fails' : undefined))
  expectAnswers(await settled(ask(inferrer).answer), 16, [])
})

it('askModel() gives up a single event after as many tries as it was given', async () => {
  const { inferrer } = faulty(onEvent(1, 'fails'))
  expectAnswers(await settled(ask(inferrer, 1, { modelTriesMax: 5 }).answer), 1, [1])
  expect(inferrer.calls).toBe(5)
})

it('askModel() condemns nobody while the model is not ready', async () => {
  const inner = new TestInferrer()
  let ready = false
  inner.ready = async () => {
    if (!ready) throw new UnavailableError('model_unreachable', 'starting')
  }
  const inferrer = new FaultyInferrer(inner, () => (ready ? undefined : 'dies'))
  const { answer } = ask(inferrer, 4)
  await vi.advanceTimersByTimeAsync(600_000)
  ready = true
  expectAnswers(await settled(answer), 4, [])
})

it('askModel() asks again alone for what may have ended a worker, so that no innocent batch dies with it', async () => {
  const inner = new TestInferrer(2)
  let deaths = 0
  let deathsBesideOthers = 0
  const inferrer = new FaultyInferrer(inner, (batch) => {
    if (!batch.eventIds.includes(11n)) return undefined
    deaths++
    // The first time nobody can know.
    if (deaths > 1 && inner.underWay > 0) deathsBesideOthers++
    return 'dies'
  })
  const slots = createSlots(2)
  const suspect = ask(inferrer, 16, { slots }).answer
  let isFound = false
  const innocents = (async () => {
    while (!isFound) await ask(inferrer, 4, { slots }).answer
  })()
  expectAnswers(await settled(suspect), 16, [11])
  isFound = true
  await settled(innocents)
  expect(deaths).toBeGreaterThan(3)
  expect(deathsBesideOthers).toBe(0)
})

it('askModel() stops waiting when the consumer stops', async () => {
  const stop = new AbortController()
  const { inferrer } = faulty(() => 'away')
  const { answer } = ask(inferrer, 4, { stopping: stop.signal })
  await vi.advanceTimersByTimeAsync(10_000)
  stop.abort()
  await expect(answer).rejects.toThrow()
})

it('askModel() drops a call under way when the consumer gives up', async () => {
  const stop = new AbortController()
  const { inferrer } = faulty(() => 'hangs')
  const { answer } = ask(inferrer, 4, { giveUp: stop.signal })
  await vi.advanceTimersByTimeAsync(10_000)
  stop.abort()
  await expect(answer).rejects.toThrow()
})

it('askModel() throws what nobody foresaw', async () => {
  const { inferrer } = faulty(() => 'breaks')
  await expect(settled(ask(inferrer).answer)).rejects.toThrow(TypeError)
})

it('askModel() refuses an answer of the wrong length', async () => {
  const inner = new TestInferrer()
  const inferrer = Object.assign(Object.create(inner), { infer: () => inner.infer(makeEvents(3)) })
  await expect(settled(ask(inferrer, 4).answer)).rejects.toThrow(
    'the model answered 3 values of azimuth for 4 events',
  )
})

it.each([1, 2, 3, 4])(
  'askModel() answers every event of a model that breaks at random, seed %i',
  async (seed) => {
    const { inferrer } = faulty(withOdds({ away: 0.2, fails: 0.1, dies: 0.1, hangs: 0.05 }, seed))
    expectAnswers(await settled(ask(inferrer, 64, { modelTriesMax: 8 }).answer), 64, [])
  },
)
