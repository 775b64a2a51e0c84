import { setTimeout as sleep } from 'node:timers/promises'

export type Next<T> = { readonly value: T } | 'late' | 'end'

/** An iterable that is read one item ahead, and asked for the next item with a deadline. */
export interface ReadAhead<T> extends AsyncDisposable {
  /** `late` when nothing came before `deadlineMs` (of `performance.now()`); asking again goes on waiting. */
  next(deadlineMs?: number): Promise<Next<T>>
}

export function readAhead<T>(items: AsyncIterable<T>, signal: AbortSignal): ReadAhead<T> {
  const iterator = items[Symbol.asyncIterator]()
  const ask = () => {
    const result = iterator.next()
    // Awaited when somebody asks; until then its failure is not an unhandled one.
    result.catch(() => undefined)
    return result
  }
  let pending = ask()
  return {
    async next(deadlineMs) {
      const result = await before(pending, deadlineMs, signal)
      if (result === 'late' || result.done) return result === 'late' ? 'late' : 'end'
      pending = ask()
      return { value: result.value }
    },
    async [Symbol.asyncDispose]() {
      await pending.catch(() => undefined)
      await iterator.return?.()
    },
  }
}

/** The promise's value, or `late` at the deadline. An aborted signal counts as the end. */
async function before<T>(
  promise: Promise<IteratorResult<T, unknown>>,
  deadlineMs: number | undefined,
  signal: AbortSignal,
): Promise<IteratorResult<T, unknown> | 'late'> {
  const done = new AbortController()
  const waits: Promise<IteratorResult<T, unknown> | 'late'>[] = [promise]
  if (deadlineMs !== undefined) {
    const ms = Math.max(0, deadlineMs - performance.now())
    waits.push(sleep(ms, 'late' as const, { signal: done.signal }).catch(() => 'late' as const))
  }
  const aborted = Promise.withResolvers<IteratorResult<T, unknown>>()
  const stop = () => aborted.resolve({ done: true, value: undefined })
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  try {
    return await Promise.race([...waits, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
    done.abort()
  }
}
