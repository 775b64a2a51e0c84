/** A part is taken for gone after three beats that did not come. */
export const BEATS_MISSED = 3
/** The name of a part that is gone is kept so long, so that its absence has a name. */
export const NAME_KEPT_MS = 86_400_000

export function isAlive({
  beatAtMs,
  everyMs,
}: {
  readonly beatAtMs: number
  readonly everyMs: number
}): boolean {
  return Date.now() - beatAtMs <= BEATS_MISSED * everyMs
}
