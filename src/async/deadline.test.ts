import { describe, expect, it, vi } from 'vitest'
import { abortLater, OutOfTime, sleep, untilAborted, within } from './deadline.ts'

const never = new Promise<never>(() => {})

describe('within', () => {
  it('returns the result of work that is done in time', async () => {
    expect(await within(async () => 7, 1_000)).toBe(7)
  })

  it('throws OutOfTime when the work is late', async () => {
    await expect(within(() => never, 1)).rejects.toThrow(OutOfTime)
  })

  it('throws the reason of a signal that aborts first', async () => {
    const abort = new AbortController()
    const late = within(() => never, 60_000, abort.signal)
    abort.abort(new Error('stop'))
    await expect(late).rejects.toThrow('stop')
  })

  it('does not start the work when the signal has aborted', async () => {
    const work = vi.fn(async () => 1)
    await expect(within(work, 1_000, AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop')
    expect(work).not.toHaveBeenCalled()
  })

  it('throws what the work throws', async () => {
    await expect(within(() => Promise.reject(new Error('broken')), 1_000)).rejects.toThrow('broken')
  })
})

describe('untilAborted', () => {
  it('returns the result when the signal does not abort', async () => {
    expect(await untilAborted(Promise.resolve(3), new AbortController().signal)).toBe(3)
  })

  it('throws the reason when the signal aborts first', async () => {
    const abort = new AbortController()
    const waiting = untilAborted(never, abort.signal)
    abort.abort(new Error('stop'))
    await expect(waiting).rejects.toThrow('stop')
  })
})

describe('sleep', () => {
  it('ends after the time', async () => {
    const startMs = performance.now()
    await sleep(20)
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(19)
  })

  it('ends early, without an error, when the signal aborts', async () => {
    const abort = new AbortController()
    const slept = sleep(60_000, abort.signal)
    abort.abort()
    await slept
  })
})

describe('abortLater', () => {
  it('aborts after the time with the reason of the signal, also of one that has aborted', async () => {
    for (const isFirst of [true, false]) {
      const abort = new AbortController()
      if (isFirst) abort.abort(new Error('stop'))
      const later = abortLater(abort.signal, 20)
      if (!isFirst) abort.abort(new Error('stop'))
      expect(later.aborted).toBe(false)
      await expect(untilAborted(never, later)).rejects.toThrow('stop')
    }
  })
})
