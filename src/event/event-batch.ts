/** Where events truly came from, where that is known. NaN marks an event without truth. Radians. */
export interface Truth {
  /** 0 to 2π, anticlockwise from +x. [events] */
  readonly azimuth: Float64Array
  /** 0 (straight down-going) to π. [events] */
  readonly zenith: Float64Array
  /** What the particles did, as an index into `TOPOLOGIES`; simulations know it. Does not travel in the wire form. [events] */
  readonly topology?: Uint8Array
}

/** Kinds of events that reconstruct differently well: muons light up a long line, all others a ball. */
export const TOPOLOGIES = ['unknown', 'through-going track', 'starting track', 'cascade'] as const
export type Topology = (typeof TOPOLOGIES)[number]

/**
 * Events that travel together: a structure of typed arrays, one row per pulse, never an object per pulse.
 * Pulses of event `i` are rows `offsets[i]` to `offsets[i + 1]` (exclusive) of the four pulse arrays.
 */
export interface EventBatch {
  /** [events] */
  readonly eventIds: BigInt64Array
  /** Ascending; the first is where the first event's pulses begin, the last where the last one's end. [events + 1] */
  readonly offsets: Int32Array
  /** 0 to 5159, string index × 60 + position on the string from the top. [pulses] */
  readonly sensorIds: Uint16Array
  /** ns on the event's own clock. [pulses] */
  readonly times: Float32Array
  /** Photo-electrons, above 0. [pulses] */
  readonly charges: Float32Array
  /** 1 for a pulse of lower quality (soft local coincidence), otherwise 0. [pulses] */
  readonly auxiliary: Uint8Array
  readonly truth?: Truth
  /** When the event's own clock stood at 0: nanoseconds since 1970-01-01 UTC, or `UTC_UNKNOWN`. [events] */
  readonly utc?: BigInt64Array
}

/** In place of the time of an event whose time is not known. */
export const UTC_UNKNOWN = 0n

/** Unix milliseconds, to the microsecond; NaN where the time is not known. */
export function toUnixMs(utc: bigint): number {
  return utc === UTC_UNKNOWN ? Number.NaN : Number(utc / 1000n) / 1000
}

export function eventCount(batch: EventBatch): number {
  return batch.eventIds.length
}

/** Pulses of all events of the batch (a view's arrays can hold more than its own). */
export function pulseCount(batch: EventBatch): number {
  return batch.offsets[eventCount(batch)] - batch.offsets[0]
}

/** Events `from` to `to` (exclusive) of a batch as a view: no pulse is copied. */
export function sliceEvents(batch: EventBatch, from: number, to: number): EventBatch {
  const truth = batch.truth && {
    azimuth: batch.truth.azimuth.subarray(from, to),
    zenith: batch.truth.zenith.subarray(from, to),
    ...(batch.truth.topology && { topology: batch.truth.topology.subarray(from, to) }),
  }
  return {
    eventIds: batch.eventIds.subarray(from, to),
    offsets: batch.offsets.subarray(from, to + 1),
    sensorIds: batch.sensorIds,
    times: batch.times,
    charges: batch.charges,
    auxiliary: batch.auxiliary,
    ...(truth && { truth }),
    ...(batch.utc && { utc: batch.utc.subarray(from, to) }),
  }
}
