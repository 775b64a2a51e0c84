import { Random } from '../simulator/random.ts'

/** When events are due, in milliseconds of the monotonic clock (`performance.now()`). */
export interface Pacer {
  /** When the next event is due. Never before the one before it. */
  dueMs(): number
  /** The next event is taken; the one after it becomes the next. */
  advance(): void
  /** The source was idle: the schedule goes on from now instead of catching up. */
  restart(nowMs: number): void
}

/** Any number: the arrivals of a run that names no seed are the same every time too. */
const DEFAULT_SEED = 1

/**
 * The schedule of an open-loop source: independent arrivals at a mean rate (events/s), so gaps are exponential. It does
 * not wait for anybody: what comes late stays due when it was due. At the rate `max` everything is due at once.
 */
export function createPacer(rate: number | 'max', nowMs: () => number, seed = DEFAULT_SEED): Pacer {
  if (rate === 'max') return { dueMs: nowMs, advance: () => {}, restart: () => {} }
  const random = new Random()
  random.restart(seed, 0)
  const meanGapMs = 1000 / rate
  let dueMs: number | undefined
  return {
    dueMs: () => {
      dueMs ??= nowMs()
      return dueMs
    },
    advance: () => {
      dueMs = (dueMs ?? nowMs()) + meanGapMs * random.exponential()
    },
    restart: (at) => {
      dueMs = Math.max(dueMs ?? at, at)
    },
  }
}
