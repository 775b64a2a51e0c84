import { randomUUID } from 'node:crypto'
import type { Browsers } from './browsers.ts'
import type {
  DeadLetters,
  DisplaySettings,
  DrawnEvent,
  EventRow,
  Health,
  Hello,
  SkyPoints,
  Snapshot,
  StreamMessageName,
  StreamMessages,
  Strip,
} from './messages.ts'

const NO_HEALTH: Health = { atMs: 0, brokerUp: false, parts: [] }

/** The data of the page, of bounded size. Additions are sent to every browser and enter the next snapshot. */
export class View {
  readonly settings: DisplaySettings
  readonly #browsers: Browsers
  readonly #service = randomUUID()
  readonly #events: EventWindow
  readonly #sky: Newest<SkyPoint>
  readonly #strips: Newest<Strip>
  #health = NO_HEALTH
  #deadLetters: DeadLetters = { newest: [] }
  #snapshot: string | undefined

  constructor(settings: DisplaySettings, browsers: Browsers) {
    this.settings = settings
    this.#browsers = browsers
    this.#events = new EventWindow(settings.eventsMax)
    this.#sky = new Newest(settings.skyMax)
    this.#strips = new Newest(settings.stripsMax)
  }

  /** Whether a browser is connected. */
  get isLookedAt(): boolean {
    return this.#browsers.count > 0
  }

  hello(): Hello {
    return { service: this.#service, atMs: Date.now() }
  }

  addEvent(event: DrawnEvent): void {
    this.#events.add(event)
    this.#tell('event', event)
  }

  addSky(points: readonly SkyPoint[]): void {
    if (points.length === 0) return
    this.#sky.add(...points)
    this.#tell('sky', toSkyPoints(points))
  }

  addStrip(strip: Strip): void {
    this.#strips.add(strip)
    this.#tell('strip', strip)
  }

  setHealth(health: Health): void {
    this.#health = health
    this.#tell('health', health)
  }

  /** While the broker does not answer: the last known processes, with their current ages. */
  setBrokerDown(atMs: number): void {
    const parts = this.#health.parts.map((part) => ({ ...part, ageMs: Math.max(0, atMs - part.beatAtMs) }))
    this.setHealth({ atMs, brokerUp: false, parts })
  }

  setDeadLetters(letters: DeadLetters): void {
    const ids = ({ newest }: DeadLetters) => newest.map(({ id }) => id).join()
    if (ids(letters) === ids(this.#deadLetters)) return
    this.#deadLetters = letters
    this.#tell('dead-letters', letters)
  }

  event(keyOrId: string): DrawnEvent | undefined {
    return this.#events.get(keyOrId)
  }

  /** JSON of a `Snapshot`, serialised once for all requests between two messages. */
  snapshot(): string {
    this.#snapshot ??= JSON.stringify({
      service: this.#service,
      atMs: Date.now(),
      settings: this.settings,
      events: this.#events.rows(),
      newest: this.#events.newest ?? null,
      sky: this.#skyPoints(),
      strips: this.#strips.all(),
      health: this.#health,
      deadLetters: this.#deadLetters,
    } satisfies Snapshot)
    return this.#snapshot
  }

  #skyPoints(): SkyPoints {
    return toSkyPoints(this.#sky.all())
  }

  #tell<Name extends StreamMessageName>(name: Name, message: StreamMessages[Name]): void {
    this.#snapshot = undefined
    this.#browsers.send(name, message)
  }
}

/** The newest events that can be opened. */
export class EventWindow {
  readonly #max: number
  readonly #events = new Map<string, DrawnEvent>()
  #newest: DrawnEvent | undefined

  constructor(max: number) {
    this.#max = max
  }

  add(event: DrawnEvent): void {
    // An event that is repeated (by a restarted source) becomes the newest.
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

/** The newest `max` items. */
export class Newest<T> {
  readonly #max: number
  #items: T[] = []

  constructor(max: number) {
    this.#max = max
  }

  add(...items: readonly T[]): void {
    this.#items.push(...items)
    // Trimmed now and then, not at every call: shifting an array costs time in proportion to its length.
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
