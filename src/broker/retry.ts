import type { Logger } from 'pino'
import { retry } from '../async/retry.ts'
import { UnavailableError } from '../errors.ts'

/** Why a step is tried again; the values of the label `reason` of `nustream_broker_retries_total`. */
export const RETRY_REASONS = [
  'unreachable', // no connection, or it broke
  'timeout', // no answer in time
  'loading', // Redis reads its data after a start
  'out_of_memory', // Redis has reached maxmemory; consuming makes room
  'disk', // Redis or SQLite cannot write its disk, or the disk is full
  'read_only', // the primary has become a replica
  'replicas_missing', // too few replicas have the last step
  'cluster', // a slot is moving, or its primary is being replaced
  'busy', // a slow script, too many clients, or another process's lock on the SQLite file
  'unauthorized', // the password was changed while the broker was open
] as const
export type RetryReason = (typeof RETRY_REASONS)[number]

export interface BrokerRetryOptions {
  readonly log: Logger | undefined
  /** First and longest pause, ms. */
  readonly firstMs: number
  readonly capMs: number
  /** Undefined for an error that trying again does not help; it is thrown. */
  reasonOf(error: unknown): RetryReason | undefined
  /** True for an error that is normal for a moment, such as a short lock: it is neither logged nor counted. */
  isNormal?(error: unknown, triedForMs: number): boolean
  onRetry?: ((reason: RetryReason) => void) | undefined
}

const LOG_EVERY_MS = 10_000

/**
 * The one place that retries the broker. Failures are counted, and logged once per ten seconds with their number, for all
 * calls of one broker together.
 */
export class BrokerRetry {
  readonly #options: BrokerRetryOptions
  #failures = 0
  #quietUntilMs = 0

  constructor(options: BrokerRetryOptions) {
    this.#options = options
  }

  /**
   * The result of `attempt`, tried until it succeeds, fails for good or `signal` aborts. `attempt` must be safe to repeat
   * after it took effect. `what` says in the log what was tried.
   * @throws UnavailableError when aborted, with the last failure as its cause
   */
  async run<T>(what: string, attempt: () => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const { firstMs, capMs, reasonOf } = this.#options
    const startedMs = performance.now()
    try {
      return await retry(attempt, {
        signal,
        backoff: { firstMs, capMs },
        isTransient: (error) => reasonOf(error) !== undefined,
        onRetry: (error) => this.#note(what, error, performance.now() - startedMs),
      })
    } catch (cause) {
      const isFatal = cause !== signal.reason && reasonOf(cause) === undefined
      if (!signal.aborted || isFatal) throw cause
      const message = `gave up ${what}: the broker was closed or the call aborted`
      throw new UnavailableError('broker_unreachable', message, { cause })
    }
  }

  #note(what: string, error: unknown, triedForMs: number): void {
    const { log, isNormal, onRetry, reasonOf } = this.#options
    if (isNormal?.(error, triedForMs)) return
    const reason = reasonOf(error)
    if (reason) onRetry?.(reason)
    this.#failures++
    const nowMs = performance.now()
    if (nowMs < this.#quietUntilMs) return
    this.#quietUntilMs = nowMs + LOG_EVERY_MS
    const message = error instanceof Error ? error.message : String(error)
    log?.warn({ what, failures: this.#failures, reason, error: message }, 'broker not usable, trying again')
    this.#failures = 0
  }
}
