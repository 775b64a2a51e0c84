import { sleep } from '../async/deadline.ts'
import { type BackoffOptions, createBackoff, retry } from '../async/retry.ts'
import { type UnavailableCode, UnavailableError } from '../errors.ts'

/** How a call of the model failed that its own events may have caused. */
export type ModelFailure = 'model_failed' | 'model_timeout' | 'model_worker_died'

export interface IsolateOptions {
  /**
   * Asks the model once for events `from` to `to` (exclusive) and stores their directions. `isSuspect`: an earlier call
   * with some of these events ended a worker or got no answer, so they must not share a run with other batches.
   */
  readonly answer: (from: number, to: number, isSuspect: boolean) => Promise<void>
  /** How a call failed, where its events may be the cause. Any other error is no event's fault. */
  readonly failureOf: (error: unknown) => ModelFailure | undefined
  /** Stores that event `index` has no direction. */
  readonly setFault: (index: number, message: string) => void
  /** @throws UnavailableError while the model cannot be asked. Default: it always can. */
  readonly ready?: (failure: ModelFailure) => Promise<void>
  /** Calls for the whole batch and for an event alone before they count as failed. Default 3. */
  readonly tries?: number
  /** Longest wait for a model that is away during the search, ms. Default 60,000. */
  readonly patienceMs?: number
  readonly backoff?: BackoffOptions
  readonly signal?: AbortSignal | undefined
  /** Called after each failed call, and before each wait for a model that is away. */
  readonly onRetry?: ((reason: ModelFailure | UnavailableCode, error: unknown) => void) | undefined
}

interface Failed {
  readonly failure: ModelFailure
  readonly error: unknown
}

/**
 * Answers a batch although some of its events make the model fail: a part that fails is halved until each part has its
 * directions or is a single event, which becomes a fault only if it fails `tries` times while the model is ready.
 * @throws UnavailableError when the model is away at the first call, or for longer than `patienceMs` after it
 * @throws the signal's reason when it aborts; errors that `failureOf` does not know as they come
 */
export async function isolate(events: number, options: IsolateOptions): Promise<void> {
  const { tries = 3, setFault, signal } = options
  const attempt = createAttempt(options)

  const search = async (from: number, to: number, before?: Failed): Promise<void> => {
    const isAlone = to - from === 1
    const isWhole = to - from === events
    const backoff = createBackoff(options.backoff)
    let failed = before
    for (let tried = 1; ; tried++) {
      failed = await attempt(from, to, failed)
      if (failed === undefined) return
      // A batch that may end a worker or hold it up is not tried again as a whole.
      const mayTryAgain = isAlone || (isWhole && failed.failure === 'model_failed')
      if (!mayTryAgain || tried >= tries) break
      await sleep(backoff.nextMs(), signal)
    }
    if (isAlone) return setFault(from, messageOf(failed))
    const middle = (from + to) >>> 1
    await search(from, middle, failed)
    await search(middle, to, failed)
  }
  await search(0, events)
}

/** One call of the model: undefined where it answered, and how it failed where the model was ready at that time. */
function createAttempt(options: IsolateOptions) {
  const { answer, failureOf, ready = async () => {}, patienceMs = 60_000, signal, onRetry } = options
  let isSearching = false

  /** Waits for a model that is away; the result says whether it was there at once. */
  const untilThere = async (work: () => Promise<void>, canWait: (error: unknown) => boolean) => {
    const startedMs = performance.now()
    let waits = 0
    await retry(work, {
      signal,
      ...(options.backoff && { backoff: options.backoff }),
      isTransient: (error) =>
        canWait(error) && performance.now() - startedMs + 1000 * retryAfterSeconds(error) < patienceMs,
      onRetry: (error) => {
        waits++
        // What can be waited for is an UnavailableError.
        onRetry?.((error as UnavailableError).code, error)
      },
    })
    return waits === 0
  }

  return async (from: number, to: number, before: Failed | undefined): Promise<Failed | undefined> => {
    const isSuspect = before !== undefined && before.failure !== 'model_failed'
    const isAway = (error: unknown): boolean =>
      isSearching && error instanceof UnavailableError && failureOf(error) === undefined
    for (;;) {
      signal?.throwIfAborted()
      try {
        await untilThere(() => answer(from, to, isSuspect), isAway)
        return undefined
      } catch (error) {
        signal?.throwIfAborted()
        const failure = failureOf(error)
        if (failure === undefined) throw error
        isSearching = true
        onRetry?.(failure, error)
        const wasReady = await untilThere(
          () => ready(failure),
          (reason) => reason instanceof UnavailableError,
        )
        // Only a model that was there can have failed on these events; a worker that ended was.
        if (wasReady || failure === 'model_worker_died') return { failure, error }
      }
    }
  }
}

/** The wait that the model asked for, 0 where it asked for none. */
function retryAfterSeconds(error: unknown): number {
  return error instanceof UnavailableError ? (error.retryAfterSeconds ?? 0) : 0
}

function messageOf({ failure, error }: Failed): string {
  const what = {
    model_failed: 'the model fails on this event alone',
    model_timeout: 'the model does not answer for this event alone',
    model_worker_died: 'this event alone ends the process that runs the model',
  }[failure]
  return `${what}: ${error instanceof Error ? error.message : String(error)}`
}
