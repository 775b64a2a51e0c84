import type { EventErrorCode } from '../errors.ts'

/** Why one event has no direction. */
export interface InferenceFault {
  /** Index of the event in the batch asked for. */
  readonly index: number
  readonly code: EventErrorCode
  readonly message: string
}

/**
 * Directions in the order of the events asked for. All arrays [events]; angles in radians. An event at fault has NaN in
 * the columns of numbers and 0 in `degenerate`.
 */
export interface Directions {
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
  /** Concentration, 0 or greater; NaN where the model gives none. */
  readonly kappa: Float64Array
  /** 1 where the event fixes no direction and the model fell back to a default, otherwise 0. */
  readonly degenerate: Uint8Array
  readonly faults: InferenceFault[]
  /** The network's own vectors of any length, turned towards the source; only where an ensemble sums them. [3 × events] */
  readonly vectors?: Float64Array
}

/** No event has a direction yet: all numbers are NaN. */
export function allocateDirections(events: number, { keepsVectors = false } = {}): Directions {
  return {
    ...(keepsVectors && { vectors: new Float64Array(3 * events).fill(Number.NaN) }),
    azimuth: new Float64Array(events).fill(Number.NaN),
    zenith: new Float64Array(events).fill(Number.NaN),
    kappa: new Float64Array(events).fill(Number.NaN),
    degenerate: new Uint8Array(events),
    faults: [],
  }
}

/** Takes the direction of event `index` back and says why it has none. */
export function setFault(into: Directions, index: number, code: EventErrorCode, message: string): void {
  into.azimuth[index] = Number.NaN
  into.zenith[index] = Number.NaN
  into.kappa[index] = Number.NaN
  into.degenerate[index] = 0
  into.faults.push({ index, code, message })
}

/**
 * @throws RangeError when a column does not hold exactly `events` values, or a fault names an event outside of them
 */
export function assertDirections(directions: Directions, events: number): void {
  for (const column of ['azimuth', 'zenith', 'kappa', 'degenerate'] as const) {
    const { length } = directions[column]
    if (length !== events) throw new RangeError(`${length} values of ${column} for ${events} events`)
  }
  const { vectors } = directions
  if (vectors !== undefined && vectors.length !== 3 * events)
    throw new RangeError(`${vectors.length} vector components for ${events} events`)
  for (const { index } of directions.faults) {
    if (!Number.isInteger(index) || index < 0 || index >= events)
      throw new RangeError(`a fault of event ${index} in ${events} events`)
  }
}

/** Events `from` to `to` (exclusive). Columns are views; indices of faults count from `from`. */
export function sliceDirections(directions: Directions, from: number, to: number): Directions {
  const { azimuth, zenith, kappa, degenerate, faults, vectors } = directions
  return {
    ...(vectors && { vectors: vectors.subarray(3 * from, 3 * to) }),
    azimuth: azimuth.subarray(from, to),
    zenith: zenith.subarray(from, to),
    kappa: kappa.subarray(from, to),
    degenerate: degenerate.subarray(from, to),
    faults: faults
      .filter(({ index }) => index >= from && index < to)
      .map((fault) => ({ ...fault, index: fault.index - from })),
  }
}

/**
 * Stores `part` in `into`: its event `i` becomes event `at[i]`, or event `at + i` where `at` is a number. Faults go
 * along. Vectors are not copied.
 * @throws RangeError when the columns of `part` differ in length, or do not fit
 */
export function scatterDirections(into: Directions, part: Directions, at: number | Int32Array): void {
  const { azimuth, zenith, kappa, degenerate, faults } = part
  const events = typeof at === 'number' ? azimuth.length : at.length
  assertDirections(part, events)
  if (typeof at === 'number') {
    into.azimuth.set(azimuth, at)
    into.zenith.set(zenith, at)
    into.kappa.set(kappa, at)
    into.degenerate.set(degenerate, at)
    for (const fault of faults) into.faults.push({ ...fault, index: at + fault.index })
    return
  }
  const room = into.azimuth.length
  for (let i = 0; i < events; i++) {
    const event = at[i]
    if (!(event >= 0 && event < room)) throw new RangeError(`no event ${event} in ${room} events`)
    into.azimuth[event] = azimuth[i]
    into.zenith[event] = zenith[i]
    into.kappa[event] = kappa[i]
    into.degenerate[event] = degenerate[i]
  }
  for (const fault of faults) into.faults.push({ ...fault, index: at[fault.index] })
}

/** The events of all parts in order. @throws RangeError when the columns of a part differ in length */
export function concatDirections(parts: readonly Directions[]): Directions {
  const whole = allocateDirections(parts.reduce((sum, { azimuth }) => sum + azimuth.length, 0))
  let from = 0
  for (const part of parts) {
    scatterDirections(whole, part, from)
    from += part.azimuth.length
  }
  return whole
}
