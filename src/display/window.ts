import type { DrawnEvent, EventRow, SkyPoints } from './messages.ts'

/** The newest events that can be opened. */
export class EventWindow {
  readonly #max: number
  readonly #events = new Map<string, DrawnEvent>()
  #newest: DrawnEvent | undefined

  constructor(max: number) {
    this.#max = max
  }

  add(event: DrawnEvent): void {
    // An event that comes again (a source that was started over) becomes the newest.
    this.#events.delete(event.key)
    this.#events.set(event.key, event)
    this.#newest = event
    for (const key of this.#events.keys()) {
      if (this.#events.size <= this.#max) break
      this.#events.delete(key)
    }
  }

  /** By key, or the newest by event id alone. */
  get(keyOrId: string): DrawnEvent | undefined {
    const exact = this.#events.get(keyOrId)
    return exact ?? [...this.#events.values()].findLast((event) => event.eventId === keyOrId)
  }

  get newest(): DrawnEvent | undefined {
    return this.#newest
  }

  /** Newest last. */
  rows(): EventRow[] {
    return [...this.#events.values()].map(({ pulses: _, ...row }) => row)
  }
}

export interface SkyPoint {
  readonly azimuth: number
  readonly zenith: number
  readonly kappa: number | null
  readonly predictedAtMs: number
  readonly key: string | null
  readonly utcMs?: number
}

/** The newest `max` of what is added. */
export class Newest<T> {
  readonly #max: number
  #items: T[] = []

  constructor(max: number) {
    this.#max = max
  }

  add(...items: readonly T[]): void {
    this.#items.push(...items)
    // Cut now and then rather than at every call: shifting a long array costs its length.
    if (this.#items.length > 2 * this.#max) this.#items = this.#items.slice(-this.#max)
  }

  /** Newest last. */
  all(): readonly T[] {
    return this.#items.slice(-this.#max)
  }

  /** Empties it. */
  take(): readonly T[] {
    const all = this.all()
    this.#items = []
    return all
  }
}

export function toSkyPoints(points: readonly SkyPoint[]): SkyPoints {
  const utcMs = points.flatMap((point) => point.utcMs ?? [])
  return {
    azimuth: points.map((point) => point.azimuth),
    zenith: points.map((point) => point.zenith),
    kappa: points.map((point) => point.kappa),
    predictedAtMs: points.map((point) => point.predictedAtMs),
    key: points.map((point) => point.key),
    ...(utcMs.length > 0 && utcMs.length === points.length && { utcMs }),
  }
}
