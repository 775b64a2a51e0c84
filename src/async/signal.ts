/** Wakes those who wait for a change. */
export class Signal {
  readonly #waiting = new Set<() => void>()

  /** Ends every wait that runs now. */
  notify(): void {
    for (const wake of this.#waiting) wake()
  }

  /** Ends at the next `notify`, after `ms` where they are given, or when `abort` aborts. Never throws. */
  async wait(ms?: number, abort?: AbortSignal): Promise<void> {
    if (abort?.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = (): void => resolve()
    const timer = ms === undefined ? undefined : setTimeout(wake, ms)
    this.#waiting.add(wake)
    abort?.addEventListener('abort', wake, { once: true })
    await promise
    abort?.removeEventListener('abort', wake)
    this.#waiting.delete(wake)
    clearTimeout(timer)
  }
}
