/** The next item; `late` where none has come in time (it will be given next time), `ended` after the last. */
export type NextWithin<T> = (waitMs: number, signal: AbortSignal) => Promise<T | 'late' | 'ended'>

/** Reads an iterator with a deadline for each item. An abort of the signal counts as late, unless it was aborted before. */
export function nextWithin<T>(items: AsyncIterator<T, unknown>): NextWithin<T> {
  let next: Promise<IteratorResult<T, unknown>> | undefined
  return async (waitMs, signal) => {
    next ??= items.next()
    const { promise: late, resolve } = Promise.withResolvers<'late'>()
    const end = (): void => resolve('late')
    const timer = setTimeout(end, waitMs)
    signal.addEventListener('abort', end, { once: true })
    try {
      const item = await Promise.race([next, late])
      if (item === 'late') return item
      next = undefined
      return item.done === true ? 'ended' : item.value
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
    }
  }
}
