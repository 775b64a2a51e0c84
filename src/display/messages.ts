/**
 * All messages from the display service to a browser, as JSON. Page and service compile against this one file. Angles
 * are radians in detector coordinates and give the direction to the source: azimuth 0 to 2π anticlockwise from +x,
 * zenith 0 (straight down-going) to π. Times (`…AtMs`) are Unix milliseconds. JSON has no NaN: unknown values are null.
 *
 * `GET /api/stream` is server-sent events, named as in `StreamMessages`. `hello` comes first on every connection; the
 * page then fetches `GET /api/snapshot` (`Snapshot`), which holds everything sent before. A message that arrives in
 * between is in both: identify events by `key`, strips by `atMs`.
 * `GET /api/events/:key` (`DrawnEvent`) returns one event of the window, or 404 once it has left the window; a bare event
 * id returns the newest event of that id. The sensors are those of `src/event/sensors.ts`.
 * If a token is configured, every path under /api/ returns 401 without it: `POST /api/token` with `TokenRequest`
 * sets the cookie (204) or refuses (401). Errors have the body `Refusal`.
 */
export interface StreamMessages {
  readonly hello: Hello
  readonly event: DrawnEvent
  readonly sky: SkyPoints
  readonly strip: Strip
  readonly health: Health
  readonly 'dead-letters': DeadLetters
  readonly dropped: Dropped
}

export type StreamMessageName = keyof StreamMessages

/** First on every connection: fetch the snapshot now. */
export interface Hello {
  /** Changes when the service restarts. */
  readonly service: string
  readonly atMs: number
}

/** Fetched once after start and after every `hello`. */
export interface Snapshot {
  /** As in `hello`. */
  readonly service: string
  /** Time of the service when this was made: ages are measured against it, not against the browser's clock. */
  readonly atMs: number
  readonly settings: DisplaySettings
  /** Newest last, at most `eventsMax`; pulses come from /api/events/:key. */
  readonly events: readonly EventRow[]
  /** The newest event, to draw at once; null before the first. */
  readonly newest: DrawnEvent | null
  /** At most `skyMax` points, newest last. */
  readonly sky: SkyPoints
  /** One per second, newest last, at most `stripsMax`. */
  readonly strips: readonly Strip[]
  readonly health: Health
  readonly deadLetters: DeadLetters
}

export interface DisplaySettings {
  /** Version of nustream. */
  readonly version: string
  /** Number of events that can be opened; older ones leave the window. */
  readonly eventsMax: number
  readonly skyMax: number
  readonly stripsMax: number
  /** Most pulses sent per event. */
  readonly pulsesMax: number
  /** Pause between two sampled batches. Drawn events are a sample; counts include all events. */
  readonly sampleEveryMs: number
}

/** The service's default settings; the page assumes them until it has the snapshot. */
export const DISPLAY_DEFAULTS: Omit<DisplaySettings, 'version'> = {
  eventsMax: 500,
  skyMax: 5_000,
  stripsMax: 600,
  pulsesMax: 1_500,
  sampleEveryMs: 1_000,
}

export interface DirectionRad {
  readonly azimuth: number
  readonly zenith: number
}

export interface DrawnPrediction extends DirectionRad {
  /** Concentration of the von Mises-Fisher distribution; null where the model gives none. */
  readonly kappa: number | null
  /** True if the event determines no direction and a fallback was used: draw it as uncertain. */
  readonly degenerate: boolean
  readonly model: string
  readonly modelVersion: string
}

/** One line of the table of recent events. */
export interface EventRow {
  /** Identifies the event in links and in /api/events/:key; unique, with letters, digits, `-`, `_`, `.`, `~` only. */
  readonly key: string
  /** int64 in decimal digits. */
  readonly eventId: string
  readonly batchId: string
  readonly prediction: DrawnPrediction
  /** The line fit of the same pulses, for comparison; null if it determines no direction. */
  readonly lineFit: DirectionRad | null
  readonly truth: DirectionRad | null
  /** What another reconstruction says, such as IceCube's own fit, if the stream carries it. It is not the truth. */
  readonly reference?: DirectionRad
  /** Opening angle between prediction and truth, 0 to π; null without truth. */
  readonly errorRad: number | null
  /** All pulses of the event, including those that are not sent. */
  readonly pulsesTotal: number
  /** Sum of all charges, photo-electrons. */
  readonly chargeTotal: number
  /** When the first event of its batch was due to leave the emitter. */
  readonly emittedAtMs: number
  readonly predictedAtMs: number
  /** Time of the event, if the stream carries it; then the sky can be drawn in equatorial coordinates. */
  readonly utcMs?: number
}

/** An event to draw. A few per second are sampled from the stream. */
export interface DrawnEvent extends EventRow {
  readonly pulses: DrawnPulses
}

/**
 * Pulses as columns of equal length, in order of time, at most `pulsesMax`. If the event has more (`pulsesTotal`), the
 * strongest pulse of each sensor is kept first, then the strongest of all, non-auxiliary pulses before auxiliary ones.
 */
export interface DrawnPulses {
  /** 0 to 5159: string index × 60 + position on the string from the top. */
  readonly sensorIds: readonly number[]
  /** ns on the event's own clock; the first is not 0. */
  readonly timesNs: readonly number[]
  /** Photo-electrons, above 0. */
  readonly charges: readonly number[]
  /** 1 for a pulse of lower quality (soft local coincidence), otherwise 0. */
  readonly auxiliary: readonly number[]
}

/** Predicted directions for the sky map, as columns of equal length, in order of prediction. */
export interface SkyPoints {
  readonly azimuth: readonly number[]
  readonly zenith: readonly number[]
  readonly kappa: readonly (number | null)[]
  readonly predictedAtMs: readonly number[]
  /** Key of the drawn event if the point can be opened, otherwise null. */
  readonly key: readonly (string | null)[]
  /** Present if the stream carries UTC for all of these points. */
  readonly utcMs?: readonly number[]
}

/** The figures of one second. */
export interface Strip {
  readonly atMs: number
  /** Predicted and dead-lettered events per second, counted in the broker over all events, not over a sample. */
  readonly eventsPerSecond: number
  readonly emittedPerSecond: number
  readonly lag: {
    /** Waiting events, unread or leased. */
    readonly events: number
    readonly batches: number
    /** Age of the oldest waiting batch; 0 when no batch waits. */
    readonly oldestAgeMs: number
  }
  /** From due time to stored prediction, over the last ten seconds; null while nothing was predicted. */
  readonly latencyMs: Quantiles | null
  /** Mean opening angle to the truth over the last ten seconds; null without truth. Chance is π/2. */
  readonly meanAngularErrorRad: number | null
  /** The account of the stream since it began, counted in the transactions that publish and settle. */
  readonly account: Account
  /** The same figures since this service began to watch. */
  readonly watched: Watched
}

export interface Quantiles {
  readonly p50: number
  readonly p99: number
}

/** emitted = predicted + deadLettered + waiting, always. */
export interface Account {
  readonly emitted: number
  readonly predicted: number
  readonly deadLettered: number
  readonly waiting: number
}

export interface Watched {
  readonly latencyMs: Quantiles | null
  readonly meanAngularErrorRad: number | null
  /** Number of predictions in the two figures above. */
  readonly predictions: number
  /** Batches of predictions that were skipped because there were too many; 0: the figures include all predictions. */
  readonly skippedBatches: number
}

/** Heartbeats of all processes, once a second and whenever one changes. */
export interface Health {
  /** Time of the service. */
  readonly atMs: number
  /** False while the broker does not answer: then all figures are stale. */
  readonly brokerUp: boolean
  /** In order of role and instance. */
  readonly parts: readonly PartHealth[]
}

export interface PartHealth {
  /** emitter, consumer, server, archive, display, up. */
  readonly role: string
  readonly instance: string
  readonly beatAtMs: number
  /** `atMs` of the message less `beatAtMs`, never below 0. */
  readonly ageMs: number
  /** Interval of the heartbeats; after three missed ones `alive` is false. */
  readonly everyMs: number
  readonly alive: boolean
}

/** The newest dead letters. The whole list is sent whenever it changes; replayed and dropped letters leave it. */
export interface DeadLetters {
  /** Newest first, at most 50. */
  readonly newest: readonly DeadLetterRow[]
}

export interface DeadLetterRow {
  readonly id: string
  readonly batchId: string
  /** Null if the whole batch could not be read. */
  readonly eventId: string | null
  /** One of docs/errors.md. */
  readonly code: string
  readonly message: string
  readonly attempts: number
  /** Number of events that it counts as in the account. */
  readonly events: number
  readonly diedAtMs: number
}

/** This browser was too slow: messages not sent to it since the last `dropped`. Fetch the snapshot again. */
export interface Dropped {
  readonly messages: number
  /** Since this connection began. */
  readonly total: number
}

/** Body of `POST /api/token`. */
export interface TokenRequest {
  readonly token: string
}

/** Body of every error. */
export interface Refusal {
  readonly error: string
}
