import {
  type DeadLetters,
  DISPLAY_DEFAULTS,
  type DisplaySettings,
  type DrawnEvent,
  type EventRow,
  type Health,
  type SkyPoints,
  type Snapshot,
  type StreamMessageName,
  type StreamMessages,
  type Strip,
} from '../../src/display/messages.ts'

/** State of the connection. `refused`: the service requires a token. */
export type Connection = 'connecting' | 'live' | 'lost' | 'refused'

/** The state of the stream in the page. Bounded by the service's settings. */
export interface StreamState {
  readonly connection: Connection
  /** True after the first snapshot. */
  readonly isLoaded: boolean
  /** Changes when the service restarts. */
  readonly service: string | undefined
  readonly settings: DisplaySettings
  /** Clock of the service minus that of this browser, ms. */
  readonly clockAheadMs: number
  /** Newest last, each key once. */
  readonly events: readonly EventRow[]
  /** The newest events with their pulses, newest last, at most `DRAWN_MAX`. */
  readonly drawn: readonly DrawnEvent[]
  readonly sky: SkyPoints
  readonly strips: readonly Strip[]
  readonly health: Health
  readonly deadLetters: DeadLetters
  /** Messages skipped because this browser was too slow, since the page was opened. */
  readonly droppedMessages: number
}

/** Number of events kept with their pulses; others are fetched. */
export const DRAWN_MAX = 40

const NO_SKY: SkyPoints = { azimuth: [], zenith: [], kappa: [], predictedAtMs: [], key: [] }

export const EMPTY_STATE: StreamState = {
  connection: 'connecting',
  isLoaded: false,
  service: undefined,
  settings: { version: '', ...DISPLAY_DEFAULTS },
  clockAheadMs: 0,
  events: [],
  drawn: [],
  sky: NO_SKY,
  strips: [],
  health: { atMs: 0, brokerUp: false, parts: [] },
  deadLetters: { newest: [] },
  droppedMessages: 0,
}

/** A message of the stream, as received. */
export type StreamMessage = {
  readonly [Name in StreamMessageName]: { readonly name: Name; readonly data: StreamMessages[Name] }
}[StreamMessageName]

/** The state after a message. */
export function withMessage(state: StreamState, message: StreamMessage): StreamState {
  switch (message.name) {
    case 'hello':
      return state
    case 'event':
      return withEvent(state, message.data)
    case 'sky':
      return { ...state, sky: newestSky(joinedSky(state.sky, message.data), state.settings.skyMax) }
    case 'strip':
      return { ...state, strips: withStrip(state.strips, message.data, state.settings.stripsMax) }
    case 'health':
      return { ...state, health: message.data }
    case 'dead-letters':
      return { ...state, deadLetters: message.data }
    case 'dropped':
      return { ...state, droppedMessages: state.droppedMessages + message.data.messages }
  }
}

/**
 * The state after a snapshot, which includes everything sent before it. Messages received since the connection began
 * (`since`) may or may not be in it, so they are applied again.
 */
export function withSnapshot(
  state: StreamState,
  snapshot: Snapshot,
  { since, nowMs }: { readonly since: readonly StreamMessage[]; readonly nowMs: number },
): StreamState {
  const { service, settings, events, newest, sky, strips, health, deadLetters } = snapshot
  const known = new Set(events.map((event) => event.key))
  const kept = state.drawn.filter((event) => known.has(event.key) && event.key !== newest?.key)
  const loaded: StreamState = {
    ...state,
    connection: 'live',
    isLoaded: true,
    service,
    settings,
    clockAheadMs: snapshot.atMs - nowMs,
    events,
    drawn: newest ? [...kept, newest] : kept,
    sky,
    strips,
    health,
    deadLetters,
  }
  const after = since.filter((message) => isNews(message, snapshot))
  return after.reduce(withMessage, loaded)
}

/** A message between `hello` and the snapshot may be in both. Events and figures are added only once. */
function isNews({ name, data }: StreamMessage, snapshot: Snapshot): boolean {
  switch (name) {
    case 'event':
    case 'strip':
      return true
    case 'sky':
      return (data.predictedAtMs[0] ?? 0) > (snapshot.sky.predictedAtMs.at(-1) ?? 0)
    case 'health':
      return data.atMs > snapshot.health.atMs
    // The list is sent when it changes; the newer list has the newer letter or arrived after the snapshot was made.
    case 'dead-letters':
      return (data.newest[0]?.diedAtMs ?? 0) > (snapshot.deadLetters.newest[0]?.diedAtMs ?? 0)
    case 'hello':
    case 'dropped':
      return false
  }
}

function withEvent(state: StreamState, event: DrawnEvent): StreamState {
  const { pulses: _, ...row } = event
  const others = (events: readonly EventRow[]) => events.filter(({ key }) => key !== event.key)
  const drawn = [...state.drawn.filter(({ key }) => key !== event.key), event].slice(-DRAWN_MAX)
  return { ...state, drawn, events: [...others(state.events), row].slice(-state.settings.eventsMax) }
}

function withStrip(strips: readonly Strip[], strip: Strip, max: number): readonly Strip[] {
  if (strip.atMs <= (strips.at(-1)?.atMs ?? 0)) return strips
  return [...strips, strip].slice(-max)
}

function joinedSky(a: SkyPoints, b: SkyPoints): SkyPoints {
  // Without points, no point lacks UTC.
  const utcMs = a.azimuth.length === 0 ? b.utcMs : a.utcMs && b.utcMs && [...a.utcMs, ...b.utcMs]
  return {
    azimuth: [...a.azimuth, ...b.azimuth],
    zenith: [...a.zenith, ...b.zenith],
    kappa: [...a.kappa, ...b.kappa],
    predictedAtMs: [...a.predictedAtMs, ...b.predictedAtMs],
    key: [...a.key, ...b.key],
    ...(utcMs && { utcMs }),
  }
}

function newestSky(sky: SkyPoints, max: number): SkyPoints {
  if (sky.azimuth.length <= max) return sky
  return {
    azimuth: sky.azimuth.slice(-max),
    zenith: sky.zenith.slice(-max),
    kappa: sky.kappa.slice(-max),
    predictedAtMs: sky.predictedAtMs.slice(-max),
    key: sky.key.slice(-max),
    ...(sky.utcMs && { utcMs: sky.utcMs.slice(-max) }),
  }
}
