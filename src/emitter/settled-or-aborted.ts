import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The promise's value, or undefined when the signal aborts and the promise is not settled within `graceMs` of it. What
 * becomes of it then is of no interest any more.
 */
export async function settledOrAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  graceMs = 0,
): Promise<T | undefined> {
  promise.catch(() => undefined)
  const aborted = Promise.withResolvers<void>()
  const stop = () => aborted.resolve()
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  try {
    const first = await Promise.race([promise.then((value) => ({ value })), aborted.promise])
    if (first) return first.value
    return await Promise.race([promise, sleep(graceMs, undefined, { ref: false })])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
