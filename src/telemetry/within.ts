/** Thrown by `within` when the time is up. */
export class OutOfTime extends Error {
  override get name(): string {
    return 'OutOfTime'
  }
}

/**
 * The result of `work`, or an OutOfTime once `limitMs` are over or the reason of `signal` once that aborts, whichever
 * comes first. The work itself is not stopped (its signal does that); a later failure of it is nobody's any more.
 */
export async function within<T>(work: () => Promise<T>, limitMs: number, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted()
  const { promise: end, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new OutOfTime(`no answer within ${limitMs / 1000} s`)), limitMs)
  const abort = () => reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work(), end])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
