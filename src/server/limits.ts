/** Bounds of the model server on requests and connections. Sizes in bytes, times in milliseconds. */
export interface ServerLimits {
  /** Largest JSON body; a larger one is refused before it is read. */
  readonly jsonBodyBytesMax: number
  /** Largest Arrow or binary tensor body. */
  readonly binaryBodyBytesMax: number
  /** Bytes of bodies held at once, all requests together; above it the server answers 503. */
  readonly bodiesBytesMax: number
  /** Events of one request. */
  readonly requestEventsMax: number
  /** For the headers of a request to arrive. */
  readonly headersTimeoutMs: number
  /** For a whole request to arrive. */
  readonly requestTimeoutMs: number
  /** After a refusal, for a client to stop sending a body that nobody wants; then its connection is cut. */
  readonly lingerMs: number
  /** An idle connection is kept open this long. */
  readonly keepAliveMs: number
  /** Connections at once; more are refused. */
  readonly connectionsMax: number
  /** For requests in flight to finish once the server closes; then their connections are cut. */
  readonly closeWithinMs: number
}

const MIB = 1024 * 1024

export const DEFAULT_LIMITS: ServerLimits = {
  jsonBodyBytesMax: 32 * MIB,
  binaryBodyBytesMax: 64 * MIB,
  bodiesBytesMax: 256 * MIB,
  requestEventsMax: 16_384,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  lingerMs: 5_000,
  keepAliveMs: 75_000,
  connectionsMax: 4096,
  closeWithinMs: 15_000,
}

/** Events, and rows of tensors, that may wait for the model. */
export const DEFAULT_QUEUE_EVENTS = 16_384
/** From a whole request to its answer. */
export const DEFAULT_DEADLINE_MS = 30_000
