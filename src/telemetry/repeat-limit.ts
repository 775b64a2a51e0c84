/** Writes one line for `key` now, or counts it silently; `repeats` is how many were kept back since the last line. */
export type RepeatLimit = (key: string, write: (repeats: number) => void) => void

/**
 * Limits repeats of one failure to one line per `everyMs`, with a count of what was kept back.
 * Keys are closed sets (codes), never ids, so that the table stays small.
 */
export function createRepeatLimit(
  everyMs = 10_000,
  now: () => number = () => performance.now(),
): RepeatLimit {
  const lines = new Map<string, { since: number; repeats: number }>()
  return (key, write) => {
    const last = lines.get(key)
    if (last !== undefined && now() - last.since < everyMs) {
      last.repeats++
      return
    }
    lines.set(key, { since: now(), repeats: 0 })
    write(last?.repeats ?? 0)
  }
}
