import { SocketClosedUnexpectedlyError } from 'redis'

export interface UntilOptions {
  /** Deadline; default 10 s. */
  readonly withinMs?: number
  /** Pause between two tries; default 10 ms. */
  readonly everyMs?: number
  /** Name of the condition, for the message at the deadline. */
  readonly what?: string
  /** Ends the wait at once. */
  readonly signal?: AbortSignal | undefined
  /** True for an error of the condition that means "not yet", such as `isUnreachable`. Any other error ends the wait. */
  readonly notYet?: (error: unknown) => boolean
}

/**
 * Waits until `condition` returns a truthy value and returns it.
 * @throws what `condition` throws, at once, unless `notYet` accepts it; Error when the deadline passes first, with the
 * last accepted error as its cause; the signal's reason where it aborts
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  {
    withinMs = 10_000,
    everyMs = 10,
    what = 'the condition',
    signal,
    notYet = () => false,
  }: UntilOptions = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + withinMs
  let cause: unknown
  for (;;) {
    signal?.throwIfAborted()
    try {
      const value = await condition()
      if (value) return value
      cause = undefined
    } catch (error) {
      if (!notYet(error)) throw error
      cause = error
    }
    if (performance.now() >= deadline)
      throw new Error(`${what} did not come within ${withinMs} ms`, { cause })
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

const UNREACHABLE = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

/** True for the error of a connection that was refused or broke, also as the cause of another error: the server starts or ends. */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof SocketClosedUnexpectedlyError) return true
  if ('code' in error && UNREACHABLE.has(String(error.code))) return true
  if (error instanceof AggregateError && error.errors.some(isUnreachable)) return true
  return isUnreachable(error.cause)
}
