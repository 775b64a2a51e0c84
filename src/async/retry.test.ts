import { describe, expect, it } from 'vitest'
import { createBackoff, retry } from './retry.ts'

it('createBackoff() doubles up to its cap', () => {
  const backoff = createBackoff({ firstMs: 100, capMs: 500, random: () => 1 })
  expect([1, 2, 3, 4, 5].map(() => backoff.nextMs())).toEqual([100, 200, 400, 500, 500])
})

it('createBackoff() shortens pauses at random by at most half', () => {
  const backoff = createBackoff({ firstMs: 100, random: () => 0 })
  expect(backoff.nextMs()).toBe(50)
})

it.each([
  { name: 'waits as long as it was asked to', asked: 3, pauseMs: 3_000 },
  { name: 'does not come earlier than it would by itself', asked: 0.001, pauseMs: 50 },
  { name: 'limits a requested wait of an hour', asked: 3_600, pauseMs: 60_000 },
])('createBackoff() $name', ({ asked, pauseMs }) => {
  expect(createBackoff({ firstMs: 100, random: () => 0 }).nextMs(asked)).toBe(pauseMs)
})

describe('retry', () => {
  const fast = { firstMs: 1, capMs: 1 }
  const signal = new AbortController().signal

  it('tries again until the attempt succeeds, and tells of each failure', async () => {
    const told: number[] = []
    let tries = 0
    const attempt = () => {
      if (++tries < 3) throw new Error('away')
      return tries
    }
    const onRetry = (_: unknown, made: number) => told.push(made)
    expect(await retry(attempt, { signal, backoff: fast, isTransient: () => true, onRetry })).toBe(3)
    expect(told).toEqual([1, 2])
  })

  it('throws an error that is not transient at once', async () => {
    let tries = 0
    const attempt = () => {
      tries++
      throw new Error('broken')
    }
    await expect(retry(attempt, { signal, isTransient: () => false })).rejects.toThrow('broken')
    expect(tries).toBe(1)
  })

  it('throws the last error once the signal aborts during a pause', async () => {
    const abort = new AbortController()
    const options = { signal: abort.signal, isTransient: () => true, onRetry: () => abort.abort() }
    const attempt = () => {
      throw new Error('away')
    }
    await expect(retry(attempt, options)).rejects.toThrow('away')
  })

  it('keeps the wait that the other side asked for', async () => {
    const asked = Object.assign(new Error('overloaded'), { retryAfterSeconds: 0.05 })
    let tries = 0
    const startMs = performance.now()
    const attempt = () => {
      if (++tries === 1) throw asked
    }
    await retry(attempt, { signal, backoff: fast, isTransient: () => true })
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(49)
  })
})
