export interface BackoffOptions {
  readonly firstMs?: number
  /** Pauses double up to this. */
  readonly capMs?: number
  /** 0 to 1, for tests. */
  readonly random?: () => number
}

/** How long to wait before the next try. */
export interface Backoff {
  /** A longer wait that the other side asked for is kept, up to a minute. */
  nextMs(retryAfterSeconds?: number): number
}

/** The longest wait that another side may ask of us: it may be wrong about itself. */
const ASKED_MAX_MS = 60_000

/** Pauses that double from `firstMs` to `capMs`, each shortened at random by up to half so that many do not return at once. */
export function createBackoff(options: BackoffOptions = {}): Backoff {
  const { firstMs = 100, capMs = 5_000, random = Math.random } = options
  let pauseMs = firstMs
  return {
    nextMs(retryAfterSeconds = 0) {
      const own = pauseMs * (0.5 + 0.5 * random())
      pauseMs = Math.min(capMs, pauseMs * 2)
      const asked = Math.min(ASKED_MAX_MS, retryAfterSeconds * 1000)
      return asked > own ? asked * (1 + 0.1 * random()) : own
    },
  }
}
