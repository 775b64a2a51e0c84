import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import { UnavailableError } from '../errors.ts'

export interface PersistOptions {
  readonly log: Logger | undefined
  /** First pause; it doubles up to `pauseMaxMs`, with jitter. */
  readonly pauseMinMs: number
  readonly pauseMaxMs: number
  /** True for an error that goes away by itself. Any other error is thrown on. */
  isPassing(error: unknown): boolean
  /** False for trouble that is too common to be worth a line, such as a short lock. */
  isWorthALine?(error: unknown, triedForMs: number): boolean
}

const LINE_EVERY_MS = 10_000

/**
 * Tries again with back-off while the world is bad, and says so once per ten seconds with a count. One per broker, so
 * that many calls that fail together still make one line.
 */
export class Persistence {
  readonly #options: PersistOptions
  #failures = 0
  #quietUntilMs = 0

  constructor(options: PersistOptions) {
    this.#options = options
  }

  /**
   * The result of `attempt`, tried until it succeeds, fails for good or `signal` aborts. `attempt` must be harmless to
   * repeat after it has already taken effect.
   * @throws UnavailableError when aborted, with the last failure as its cause
   */
  async keepTrying<T>(what: string, attempt: () => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const { isPassing, pauseMinMs, pauseMaxMs } = this.#options
    const startedMs = performance.now()
    let last: unknown
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        return await attempt()
      } catch (error) {
        if (!isPassing(error)) throw error
        last = error
        if (signal.aborted) break
        this.#complain(what, error, performance.now() - startedMs)
        const longestMs = Math.min(pauseMaxMs, pauseMinMs * 2 ** tries)
        await pause(longestMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined)
      }
    }
    throw new UnavailableError(
      'broker_unreachable',
      `gave up ${what}: the broker was closed or the call aborted`,
      {
        cause: last,
      },
    )
  }

  #complain(what: string, error: unknown, triedForMs: number): void {
    const { log, isWorthALine } = this.#options
    if (isWorthALine && !isWorthALine(error, triedForMs)) return
    this.#failures++
    const nowMs = performance.now()
    if (nowMs < this.#quietUntilMs) return
    this.#quietUntilMs = nowMs + LINE_EVERY_MS
    log?.warn({ what, failures: this.#failures, reason: messageOf(error) }, 'broker not usable, trying again')
    this.#failures = 0
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
