import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { UnavailableError } from '../errors.ts'
import { type IsolateOptions, isolate, type ModelFailure } from './isolate.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

class Failure extends Error {
  readonly failure: ModelFailure

  constructor(failure: ModelFailure) {
    super(`failed by ${failure}`)
    this.failure = failure
  }
}

const AWAY = new UnavailableError('model_unreachable', 'connection refused')

interface Call {
  readonly from: number
  readonly to: number
  readonly isSuspect: boolean
}

/** Throws what happens to a call, by its events and its number. */
type Plan = (call: Call, number: number) => Error | undefined

function run(events: number, plan: Plan, options: Partial<IsolateOptions> = {}) {
  const calls: Call[] = []
  const faults = new Map<number, string>()
  const answered = new Set<number>()
  const reasons: string[] = []
  const done = isolate(events, {
    answer: async (from, to, isSuspect) => {
      const call = { from, to, isSuspect }
      calls.push(call)
      const error = plan(call, calls.length - 1)
      if (error) throw error
      for (let index = from; index < to; index++) answered.add(index)
    },
    failureOf: (error) => (error instanceof Failure ? error.failure : undefined),
    setFault: (index, message) => void faults.set(index, message),
    onRetry: (reason) => void reasons.push(reason),
    ...options,
  })
  done.catch(() => {})
  return { done, calls, faults, answered, reasons }
}

async function settled(promise: Promise<void>, seconds = 3_600): Promise<void> {
  let isSettled = false
  const note = () => {
    isSettled = true
  }
  promise.then(note, note)
  for (let ms = 0; ms < seconds * 1000 && !isSettled; ms += 50) await vi.advanceTimersByTimeAsync(50)
  return await promise
}

/** The call holds one of the events. */
function holds({ from, to }: Call, ...events: number[]): boolean {
  return events.some((event) => event >= from && event < to)
}

const FAILURES = [
  { failure: 'model_failed', message: 'the model fails on this event alone' },
  { failure: 'model_timeout', message: 'the model does not answer for this event alone' },
  { failure: 'model_worker_died', message: 'this event alone ends the process that runs the model' },
] as const

describe('isolate()', () => {
  it('asks once where nothing fails', async () => {
    const { done, calls, faults } = run(16, () => undefined)
    await settled(done)
    expect(calls).toEqual([{ from: 0, to: 16, isSuspect: false }])
    expect(faults.size).toBe(0)
  })

  it.each(FAILURES)('finds the one event that causes $failure', async ({ failure, message }) => {
    const { done, faults, answered } = run(16, (call) => (holds(call, 10) ? new Failure(failure) : undefined))
    await settled(done)
    expect([...faults]).toEqual([[10, `${message}: failed by ${failure}`]])
    expect([...answered].toSorted((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15,
    ])
  })

  it('finds several events, the first and the last of a batch among them', async () => {
    const { done, faults } = run(17, (call) =>
      holds(call, 0, 7, 16) ? new Failure('model_failed') : undefined,
    )
    await settled(done)
    expect([...faults.keys()]).toEqual([0, 7, 16])
  })

  it.each([
    { tries: 3, failures: 2, faults: 0 },
    { tries: 3, failures: 3, faults: 1 },
    { tries: 1, failures: 1, faults: 1 },
  ])('an event alone that fails $failures times of $tries makes $faults faults', async (row) => {
    const plan: Plan = (_, number) => (number < row.failures ? new Failure('model_failed') : undefined)
    const { done, faults, calls } = run(1, plan, { tries: row.tries })
    await settled(done)
    expect(faults.size).toBe(row.faults)
    expect(calls).toHaveLength(Math.min(row.tries, row.failures + 1))
  })

  it('asks a batch whole again that the model failed on, but not one that may end a worker', async () => {
    const failing = run(8, (_, number) => (number === 0 ? new Failure('model_failed') : undefined))
    await settled(failing.done)
    expect(failing.calls.map(({ from, to }) => [from, to])).toEqual([
      [0, 8],
      [0, 8],
    ])
    const dying = run(8, (_, number) => (number === 0 ? new Failure('model_worker_died') : undefined))
    await settled(dying.done)
    expect(dying.calls).toEqual([
      { from: 0, to: 8, isSuspect: false },
      { from: 0, to: 4, isSuspect: true },
      { from: 4, to: 8, isSuspect: true },
    ])
  })

  it('throws at once if the model is unreachable at the first call', async () => {
    const { done, calls } = run(4, () => AWAY)
    await expect(settled(done)).rejects.toBe(AWAY)
    expect(calls).toHaveLength(1)
  })

  it('waits for a model that becomes unreachable during the search, and throws after its time limit', async () => {
    const plan: Plan = (call, number) => {
      if (number > 0 && number < 6) return AWAY
      return holds(call, 2) ? new Failure('model_worker_died') : undefined
    }
    const { done, faults } = run(4, plan)
    await settled(done)
    expect([...faults.keys()]).toEqual([2])

    const gone = run(4, (_, number) => (number === 0 ? new Failure('model_worker_died') : AWAY))
    await vi.advanceTimersByTimeAsync(55_000)
    expect(gone.calls.length).toBeGreaterThan(5)
    await expect(settled(gone.done, 20)).rejects.toBe(AWAY)
  })

  it('counts no failure of a model that is not ready, except the death of a worker', async () => {
    for (const { failure } of FAILURES) {
      let readyAfter = 20
      const ready = async () => {
        if (readyAfter-- > 0) throw AWAY
      }
      const plan: Plan = () => (readyAfter > 0 ? new Failure(failure) : undefined)
      const { done, faults } = run(1, plan, { ready, tries: 1 })
      await settled(done)
      expect(faults.size).toBe(failure === 'model_worker_died' ? 1 : 0)
    }
  })

  it('tells of each failure', async () => {
    const { done, reasons } = run(2, (call) => (holds(call, 1) ? new Failure('model_failed') : undefined))
    await settled(done)
    expect(reasons).toEqual(Array(6).fill('model_failed'))
  })

  it('throws errors that it does not know', async () => {
    const { done } = run(4, () => new TypeError('x is not a function'))
    await expect(settled(done)).rejects.toThrow(TypeError)
  })

  it("throws the signal's reason during a search", async () => {
    const stop = new AbortController()
    const { done } = run(4, () => new Failure('model_failed'), { signal: stop.signal })
    stop.abort(new Error('stopped'))
    await expect(settled(done)).rejects.toThrow('stopped')
  })
})
