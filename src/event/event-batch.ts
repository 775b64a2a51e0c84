/** Where events truly came from, where that is known. NaN marks an event without truth. Radians. */
export interface Truth {
  /** 0 to 2π, anticlockwise from +x. [events] */
  readonly azimuth: Float64Array
  /** 0 (straight down-going) to π. [events] */
  readonly zenith: Float64Array
  /** What the particles did, as an index into `TOPOLOGIES`; simulations know it. Does not travel in the wire form. [events] */
  readonly topology?: Uint8Array
  /** More that only a simulation knows: a row of `TRUTH_DETAILS` for each event, NaN where there is no such thing. */
  readonly details?: Float64Array
}

/**
 * Where another reconstruction, such as IceCube's own fit, says that events came from. It is not the truth, and is never
 * used as such. NaN marks an event without a reference. Radians, as in `Truth`.
 */
export interface Reference {
  /** [events] */
  readonly azimuth: Float64Array
  /** [events] */
  readonly zenith: Float64Array
}

/**
 * `energy`: of the neutrino, GeV; of a through-going track and of atmospheric muons that of the (most energetic) muon where its
 * simulation begins. `vertex`: where the light begins, m. `inelasticity`: share of the energy that goes into hadrons.
 * `muon_energy`: of the neutrino's own muon at the vertex, GeV. `visible_muons`: muons of the atmosphere that gave at least
 * one photo-electron. `muon_triggered`: 1 where such muons, and not the neutrino, made the detector trigger.
 */
export const TRUTH_DETAILS = [
  'energy',
  'vertex_x',
  'vertex_y',
  'vertex_z',
  'inelasticity',
  'muon_energy',
  'visible_muons',
  'muon_triggered',
] as const

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
  readonly reference?: Reference
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
  const reference = batch.reference && {
    azimuth: batch.reference.azimuth.subarray(from, to),
    zenith: batch.reference.zenith.subarray(from, to),
  }
  const truth = batch.truth && {
    azimuth: batch.truth.azimuth.subarray(from, to),
    zenith: batch.truth.zenith.subarray(from, to),
    ...(batch.truth.topology && { topology: batch.truth.topology.subarray(from, to) }),
    ...(batch.truth.details && {
      details: batch.truth.details.subarray(from * TRUTH_DETAILS.length, to * TRUTH_DETAILS.length),
    }),
  }
  return {
    eventIds: batch.eventIds.subarray(from, to),
    offsets: batch.offsets.subarray(from, to + 1),
    sensorIds: batch.sensorIds,
    times: batch.times,
    charges: batch.charges,
    auxiliary: batch.auxiliary,
    ...(truth && { truth }),
    ...(reference && { reference }),
    ...(batch.utc && { utc: batch.utc.subarray(from, to) }),
  }
}

/** Events of all batches in order, as one. A single batch comes back itself; several are copied. */
export function concatEvents(batches: readonly EventBatch[]): EventBatch {
  if (batches.length === 1) return batches[0]
  const into = allocateEvents(
    batches.reduce((sum, batch) => sum + eventCount(batch), 0),
    batches.reduce((sum, batch) => sum + pulseCount(batch), 0),
    {
      hasTruth: batches.some((batch) => batch.truth),
      hasTopology: batches.some((batch) => batch.truth?.topology),
      hasReference: batches.some((batch) => batch.reference),
      hasUtc: batches.some((batch) => batch.utc),
    },
  )
  let at = 0
  for (const batch of batches) {
    copyEvents(into, at, batch)
    at += eventCount(batch)
  }
  return into
}

/**
 * The events at `indices`, in that order; an index may come twice. Neighbours in ascending order are a view, as of
 * `sliceEvents`; otherwise pulses are copied.
 * @throws RangeError where an index is not one of the batch's
 */
export function selectEvents(batch: EventBatch, indices: ArrayLike<number>): EventBatch {
  const chosen = Array.from(indices)
  for (const index of chosen) {
    if (!Number.isInteger(index) || index < 0 || index >= eventCount(batch)) {
      throw new RangeError(`no event ${index} in a batch of ${eventCount(batch)}`)
    }
  }
  const first = chosen[0] ?? 0
  if (chosen.every((index, i) => index === first + i)) return sliceEvents(batch, first, first + chosen.length)

  const pulses = chosen.reduce((sum, i) => sum + batch.offsets[i + 1] - batch.offsets[i], 0)
  const into = allocateEvents(chosen.length, pulses, {
    hasTruth: batch.truth !== undefined,
    hasTopology: batch.truth?.topology !== undefined,
    hasReference: batch.reference !== undefined,
    hasUtc: batch.utc !== undefined,
  })
  for (const [i, index] of chosen.entries()) copyEvents(into, i, sliceEvents(batch, index, index + 1))
  return into
}

interface OptionalColumns {
  readonly hasTruth?: boolean
  readonly hasTopology?: boolean
  readonly hasReference?: boolean
  readonly hasUtc?: boolean
}

/** Room for that many, with offsets 0, truth, reference and UTC unknown. */
export function allocateEvents(
  events: number,
  pulses: number,
  { hasTruth = false, hasTopology = false, hasReference = false, hasUtc = false }: OptionalColumns,
): EventBatch {
  const unknown = () => ({
    azimuth: new Float64Array(events).fill(Number.NaN),
    zenith: new Float64Array(events).fill(Number.NaN),
  })
  const truth: Truth = {
    ...unknown(),
    ...(hasTopology && { topology: new Uint8Array(events) }),
  }
  return {
    eventIds: new BigInt64Array(events),
    offsets: new Int32Array(events + 1),
    sensorIds: new Uint16Array(pulses),
    times: new Float32Array(pulses),
    charges: new Float32Array(pulses),
    auxiliary: new Uint8Array(pulses),
    ...(hasTruth && { truth }),
    ...(hasReference && { reference: unknown() }),
    ...(hasUtc && { utc: new BigInt64Array(events).fill(UTC_UNKNOWN) }),
  }
}

/** Writes the events of `from` into `into` as its events `at` and following; those before must have been written. */
function copyEvents(into: EventBatch, at: number, from: EventBatch): void {
  const events = eventCount(from)
  const first = from.offsets[0]
  const last = from.offsets[events]
  const row = into.offsets[at]
  into.eventIds.set(from.eventIds, at)
  for (let i = 1; i <= events; i++) into.offsets[at + i] = row + from.offsets[i] - first
  into.sensorIds.set(from.sensorIds.subarray(first, last), row)
  into.times.set(from.times.subarray(first, last), row)
  into.charges.set(from.charges.subarray(first, last), row)
  into.auxiliary.set(from.auxiliary.subarray(first, last), row)
  if (from.utc) into.utc?.set(from.utc, at)
  if (from.reference) {
    into.reference?.azimuth.set(from.reference.azimuth, at)
    into.reference?.zenith.set(from.reference.zenith, at)
  }
  if (!from.truth || !into.truth) return
  into.truth.azimuth.set(from.truth.azimuth, at)
  into.truth.zenith.set(from.truth.zenith, at)
  if (from.truth.topology) into.truth.topology?.set(from.truth.topology, at)
}
