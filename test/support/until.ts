export interface UntilOptions {
  /** Deadline; 10 s unless told. */
  readonly withinMs?: number
  /** Pause between two looks; 10 ms unless told. */
  readonly everyMs?: number
  /** What is waited for, for the message when it does not come. */
  readonly what?: string
  /** Ends the wait at once. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Waits until `condition` gives something truthy and returns it. A condition that throws counts as "not yet"; its last
 * error becomes the cause of the failure.
 * @throws Error when the deadline passes first, and the signal's reason where it aborts
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { withinMs = 10_000, everyMs = 10, what = 'the condition', signal }: UntilOptions = {},
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
      cause = error
    }
    if (performance.now() >= deadline)
      throw new Error(`${what} did not come within ${withinMs} ms`, { cause })
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
