import { randomUUID } from 'node:crypto'
import type { Browsers } from './browsers.ts'
import type {
  DeadLetters,
  DisplaySettings,
  DrawnEvent,
  Health,
  Hello,
  SkyPoints,
  Snapshot,
  StreamMessageName,
  StreamMessages,
  Strip,
} from './messages.ts'
import { EventWindow, Newest, type SkyPoint, toSkyPoints } from './window.ts'

const NO_HEALTH: Health = { atMs: 0, brokerUp: false, parts: [] }

/** All that the page can show, of fixed size: what is added here goes to every browser, and into the next snapshot. */
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

  /** A browser is connected. */
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

  /** The parts as last heard of, with their ages now: the broker does not answer. */
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

  /** JSON of a `Snapshot`, written once for all browsers that ask between two messages. */
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
