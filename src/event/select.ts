import {
  type EventBatch,
  eventCount,
  pulseCount,
  sliceEvents,
  type Truth,
  UTC_UNKNOWN,
} from './event-batch.ts'

/** Events of all batches in order, as one. A single batch comes back itself; several are copied. */
export function concatEvents(batches: readonly EventBatch[]): EventBatch {
  if (batches.length === 1) return batches[0]
  const into = allocateEvents(
    batches.reduce((sum, batch) => sum + eventCount(batch), 0),
    batches.reduce((sum, batch) => sum + pulseCount(batch), 0),
    {
      hasTruth: batches.some((batch) => batch.truth),
      hasTopology: batches.some((batch) => batch.truth?.topology),
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
    hasUtc: batch.utc !== undefined,
  })
  for (const [i, index] of chosen.entries()) copyEvents(into, i, sliceEvents(batch, index, index + 1))
  return into
}

interface Parts {
  readonly hasTruth?: boolean
  readonly hasTopology?: boolean
  readonly hasUtc?: boolean
}

/** Room for that many, with offsets 0, truth and UTC unknown. */
export function allocateEvents(
  events: number,
  pulses: number,
  { hasTruth = false, hasTopology = false, hasUtc = false }: Parts,
): EventBatch {
  const truth: Truth = {
    azimuth: new Float64Array(events).fill(Number.NaN),
    zenith: new Float64Array(events).fill(Number.NaN),
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
  if (!from.truth || !into.truth) return
  into.truth.azimuth.set(from.truth.azimuth, at)
  into.truth.zenith.set(from.truth.zenith, at)
  if (from.truth.topology) into.truth.topology?.set(from.truth.topology, at)
}
