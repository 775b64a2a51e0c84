/** Room for a bounded number of things at once, given out in the order asked for. */
export interface Slots {
  /** Runs `work` once there is room. @throws the signal's reason when it aborts during the wait */
  one<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>
  /** Runs `work` while nothing else runs. */
  all<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>
}

interface Waiting {
  readonly size: number
  readonly enter: () => void
}

export function createSlots(size: number): Slots {
  let free = size
  const queue: Waiting[] = []

  const admit = (): void => {
    while (queue.length > 0 && queue[0].size <= free) {
      free -= queue[0].size
      queue.shift()?.enter()
    }
  }
  const entered = async (wanted: number, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting = { size: wanted, enter: resolve }
    const leave = (): void => {
      const place = queue.indexOf(waiting)
      if (place === -1) return // entered already
      queue.splice(place, 1)
      reject(signal.reason)
      admit()
    }
    queue.push(waiting)
    signal.addEventListener('abort', leave, { once: true })
    admit()
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }
  const run = async <T>(wanted: number, work: () => Promise<T>, signal: AbortSignal): Promise<T> => {
    await entered(wanted, signal)
    try {
      return await work()
    } finally {
      free += wanted
      admit()
    }
  }
  return {
    one: (work, signal) => run(1, work, signal),
    all: (work, signal) => run(size, work, signal),
  }
}
