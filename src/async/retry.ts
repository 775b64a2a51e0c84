import { sleep } from './deadline.ts'

export interface BackoffOptions {
  /** First pause, ms. Default 100. */
  readonly firstMs?: number
  /** Pauses double up to this, ms. Default 5,000. */
  readonly capMs?: number
  /** Returns 0 to 1; for tests. */
  readonly random?: () => number
}

/** The pauses between the tries of one piece of work. */
export interface Backoff {
  /** Pause before the next try, ms. `retryAfterSeconds` is the wait that a server asked for; up to a minute of it is kept. */
  nextMs(retryAfterSeconds?: number): number
  /** The next pause is the first one again. */
  reset(): void
}

/** The longest wait that a server may ask for. */
const RETRY_AFTER_MAX_MS = 60_000

/** Pauses that double from `firstMs` to `capMs`. Each is shortened by a random share of up to half, so that clients spread out. */
export function createBackoff(options: BackoffOptions = {}): Backoff {
  const { firstMs = 100, capMs = 5_000, random = Math.random } = options
  let pauseMs = firstMs
  return {
    nextMs(retryAfterSeconds = 0) {
      const own = pauseMs * (0.5 + 0.5 * random())
      pauseMs = Math.min(capMs, pauseMs * 2)
      const asked = Math.min(RETRY_AFTER_MAX_MS, retryAfterSeconds * 1000)
      return asked > own ? asked * (1 + 0.1 * random()) : own
    },
    reset() {
      pauseMs = firstMs
    },
  }
}

export interface RetryOptions {
  /** Ends the tries. */
  readonly signal?: AbortSignal | undefined
  readonly backoff?: BackoffOptions
  /** True for an error that may go away by itself. */
  isTransient(error: unknown): boolean
  /** Called before each pause, with the tries made so far. */
  onRetry?(error: unknown, tries: number): void
}

/**
 * Runs `attempt` until it succeeds, with back-off between tries. `attempt` must be safe to repeat after it took effect.
 * @throws the first error that is not transient
 * @throws the last transient error once `signal` aborts, or the signal's reason where nothing was tried
 */
export async function retry<T>(attempt: () => T | Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, isTransient, onRetry } = options
  signal?.throwIfAborted()
  const backoff = createBackoff(options.backoff)
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      if (signal?.aborted || !isTransient(error)) throw error
      onRetry?.(error, tries)
      await sleep(backoff.nextMs(retryAfterOf(error)), signal)
      if (signal?.aborted) throw error
    }
  }
}

function retryAfterOf(error: unknown): number | undefined {
  const seconds: unknown =
    error instanceof Error && 'retryAfterSeconds' in error ? error.retryAfterSeconds : undefined
  return typeof seconds === 'number' ? seconds : undefined
}
