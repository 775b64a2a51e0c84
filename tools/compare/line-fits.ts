import { type Direction, fromSourceVector } from '../../src/event/direction.ts'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { SENSORS_PER_STRING, sensorPositions } from '../../src/event/sensors.ts'

/**
 * The plain line fits whose errors on the challenge's events are published, written from their published descriptions:
 * least squares of place against time, v = cov(r, t) / var(t), the particle travels along v. No weights, no cleaning.
 * They measure events and are not meant as models; the robust line fit is.
 */
export function fitLine(batch: EventBatch, rows: ArrayLike<number>, isWeightedByCharge = false): Direction {
  let [sum, t, x, y, z, xt, yt, zt] = [0, 0, 0, 0, 0, 0, 0, 0]
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]
    const at = batch.sensorIds[row] * 3
    const weight = isWeightedByCharge ? batch.charges[row] : 1
    const time = (batch.times[row] - 10_000) * weight
    sum += weight
    t += time
    x += sensorPositions[at] * weight
    y += sensorPositions[at + 1] * weight
    z += sensorPositions[at + 2] * weight
    xt += sensorPositions[at] * time
    yt += sensorPositions[at + 1] * time
    zt += sensorPositions[at + 2] * time
  }
  return fromSourceVector(x * t - xt * sum, y * t - yt * sum, z * t - zt * sum)
}

/** Rows of an event's pulses that are not auxiliary. */
export function hardRows(batch: EventBatch, event: number): number[] {
  return rowsOf(batch, event).filter((row) => batch.auxiliary[row] === 0)
}

/** A pulse is picked if another of its string is within these distances: sensors and ns; smaller on DeepCore's strings. */
const NEAR = { sensors: 3, ns: 350 }
const NEAR_IN_DEEP_CORE = { sensors: 1, ns: 180 }
const FIRST_DEEP_CORE_STRING = 78
/** Pulses of larger events are picked by their flag: comparing all pairs would take too long. */
const PICKED_MAX = 2000
/** With fewer picked pulses than this, all pulses are used. */
const PICKED_MIN = 2

/**
 * Rows of the pulses that a neighbour on the same string confirms, auxiliary or not. Source: "Polar Lightning", the public
 * notebook of 1.183 on the leaderboard and 1.1887 on batch 1 (R. Hatch; in C-Kitching/Kaggle).
 */
export function pickedRows(batch: EventBatch, event: number): number[] {
  const all = rowsOf(batch, event)
  if (all.length > PICKED_MAX) return hardRows(batch, event)
  const picked = all.filter((row) => isConfirmed(batch, row, all[0], all[0] + all.length))
  return picked.length < PICKED_MIN ? all : picked
}

/** Pulses are in order of time, so the search ends when the time difference is too large. */
function isConfirmed({ sensorIds, times }: EventBatch, row: number, from: number, to: number): boolean {
  const sensor = sensorIds[row]
  const string = Math.floor(sensor / SENSORS_PER_STRING)
  const near = string >= FIRST_DEEP_CORE_STRING ? NEAR_IN_DEEP_CORE : NEAR
  const confirms = (other: number) =>
    sensorIds[other] !== sensor &&
    Math.abs(sensorIds[other] - sensor) <= near.sensors &&
    Math.floor(sensorIds[other] / SENSORS_PER_STRING) === string
  for (let other = row - 1; other >= from && times[row] - times[other] <= near.ns; other--)
    if (confirms(other)) return true
  for (let other = row + 1; other < to && times[other] - times[row] <= near.ns; other++)
    if (confirms(other)) return true
  return false
}

export function rowsOf({ offsets }: EventBatch, event: number): number[] {
  return Array.from({ length: offsets[event + 1] - offsets[event] }, (_, i) => offsets[event] + i)
}
