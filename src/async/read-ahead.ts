import { OutOfTime, untilAborted, within } from './deadline.ts'

/** An iterable that is read one item ahead and asked for each item with a deadline. A wait that ends loses no item. */
export interface ReadAhead<T> extends AsyncDisposable {
  /**
   * The next item; `late` when none comes within `limitMs`, `end` after the last.
   * @throws the signal's reason when it aborts, and what the iterable throws
   */
  next(signal: AbortSignal, limitMs?: number): Promise<{ readonly value: T } | 'late' | 'end'>
}

/** Starts reading at once. Disposing ends the iterable; one that waits must have been aborted by other means. */
export function readAhead<T>(items: AsyncIterable<T>): ReadAhead<T> {
  const iterator = items[Symbol.asyncIterator]()
  const read = () => {
    const result = iterator.next()
    // It is awaited when the item is asked for; until then its failure is not an unhandled one.
    result.catch(() => undefined)
    return result
  }
  let ahead = read()
  return {
    async next(signal, limitMs) {
      try {
        const result = await (limitMs === undefined
          ? untilAborted(ahead, signal)
          : within(() => ahead, limitMs, signal))
        if (result.done) return 'end'
        ahead = read()
        return { value: result.value }
      } catch (error) {
        if (error instanceof OutOfTime) return 'late'
        throw error
      }
    },
    async [Symbol.asyncDispose]() {
      await ahead.catch(() => undefined)
      await iterator.return?.()
    },
  }
}
