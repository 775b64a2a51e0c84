/** Ends after `ms`, or when `signal` aborts; never throws. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Change().wait(ms, signal)
}

/** Something that others wait for: `happen` ends every wait that runs at that moment. */
export class Change {
  readonly #waiting = new Set<() => void>()

  happen(): void {
    for (const wake of this.#waiting) wake()
  }

  /** Ends at the next change, after `ms`, or when `signal` aborts; never throws. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => resolve()
    const timer = setTimeout(wake, ms)
    this.#waiting.add(wake)
    signal.addEventListener('abort', wake)
    await promise
    signal.removeEventListener('abort', wake)
    this.#waiting.delete(wake)
    clearTimeout(timer)
  }
}
