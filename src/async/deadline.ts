/** Thrown by `within` when the time is up. */
export class OutOfTime extends Error {
  override get name(): string {
    return 'OutOfTime'
  }
}

/**
 * The result of `work`, unless `limitMs` pass or `signal` aborts first. The work is not stopped by this; a later failure
 * of it is ignored.
 * @throws OutOfTime after `limitMs`; the signal's reason when it aborts
 */
export async function within<T>(work: () => Promise<T>, limitMs: number, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted()
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new OutOfTime(`no answer within ${limitMs / 1000} s`)), limitMs)
  try {
    const result = Promise.race([work(), late])
    return await (signal ? untilAborted(result, signal) : result)
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The result of `promise`, unless `signal` aborts first. The work behind it is not stopped by this; a later failure of it
 * is ignored.
 * @throws the signal's reason when it aborts
 */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    if (signal.aborted) abort()
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Ends after `ms`, or when `signal` aborts. Never throws. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const end = (): void => resolve()
  const timer = setTimeout(end, ms)
  signal?.addEventListener('abort', end, { once: true })
  await promise
  signal?.removeEventListener('abort', end)
  clearTimeout(timer)
}

/** A signal that aborts `ms` after `signal` does, with its reason: for work that may still end well after a stop. */
export function abortLater(signal: AbortSignal, ms: number): AbortSignal {
  const later = new AbortController()
  const start = (): void => void setTimeout(() => later.abort(signal.reason), ms).unref()
  if (signal.aborted) start()
  else signal.addEventListener('abort', start, { once: true })
  return later.signal
}
