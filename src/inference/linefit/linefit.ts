import { fromSourceVector } from '../../event/direction.ts'
import { type EventBatch, eventCount } from '../../event/event-batch.ts'
import { sensorPositions } from '../../event/sensors.ts'
import { allocateDirections } from '../directions.ts'
import type { PulsesSpec } from '../model/manifest.ts'
import type { Executor } from '../network/worker-messages.ts'
import { buildSelectPulses } from '../tensors/select-pulses.ts'

/** A later pulse within this distance of an earlier one … (m). Source: arXiv:1308.5501, as are the next three. */
const CLEANING_RADIUS_M = 156
/** … by more than this (ns) is scattered light and left out. */
const CLEANING_DELAY_NS = 778
/** Distance (m) from the line beyond which a pulse pulls with constant force (Huber). */
const HUBER_MU_M = 153
/** Distance (m) from the line beyond which a pulse is left out of the last fit. */
const DEBIAS_RADIUS_M = 116
const HUBER_ITERATIONS = 3
/** Fewer non-auxiliary pulses than this, and all pulses are used. */
const HLC_MIN = 3
/** More pulses than this are thinned to every k-th in time: cleaning compares each with each. */
const PULSES_MAX = 256
/** A variance of times (ns²) or a speed (m/ns) below which the pulses fix no direction. */
const TIME_VARIANCE_MIN = 1
const SPEED_MIN = 1e-4

export const LINE_FIT_IDENTITY = { name: 'linefit', version: '1' } as const

/** Which pulses the line fit sees, in the terms of a manifest. */
export const LINE_FIT_PULSES: PulsesSpec = {
  keep: 'hlc',
  hlcMin: HLC_MIN,
  min: 1,
  max: PULSES_MAX,
  prefer: 'none',
  by: 'spread',
  order: 'time',
}

/** Direction that an event came from, as a vector of any length above 0. */
export interface LineFit extends Vector {
  /** The pulses fix no velocity: the vector is the longest axis of their places. */
  readonly isDegenerate: boolean
}

/** Buffers of a line fit, used again for every event. Times are relative to the first pulse. */
interface Pulses {
  count: number
  readonly x: Float64Array
  readonly y: Float64Array
  readonly z: Float64Array
  readonly t: Float64Array
  readonly weight: Float64Array
}

/** Velocity (m/ns) and the point at t = 0 (m). */
interface Line {
  readonly vx: number
  readonly vy: number
  readonly vz: number
  readonly x0: number
  readonly y0: number
  readonly z0: number
}

/**
 * The robust line fit: a point that moves on a line at constant velocity, fitted to the places and times of the pulses.
 * Its steps are specified in docs/models.md. Never NaN. The function returned keeps buffers: not for concurrent use.
 * Source: arXiv:1308.5501.
 */
export function buildLineFit(): (batch: EventBatch, event: number) => LineFit {
  const select = buildSelectPulses(LINE_FIT_PULSES)
  let rows = new Int32Array(1024)
  const pulses: Pulses = {
    count: 0,
    x: new Float64Array(PULSES_MAX),
    y: new Float64Array(PULSES_MAX),
    z: new Float64Array(PULSES_MAX),
    t: new Float64Array(PULSES_MAX),
    weight: new Float64Array(PULSES_MAX),
  }
  return (batch, event) => {
    const all = batch.offsets[event + 1] - batch.offsets[event]
    if (rows.length < all) rows = new Int32Array(2 * all)
    gather(pulses, batch, rows.subarray(0, select(batch, event, rows, 0)))
    dropLate(pulses)
    const robust = fitHuber(pulses)
    const line = robust && (fitNear(pulses, robust) ?? robust)
    if (line && Math.hypot(line.vx, line.vy, line.vz) >= SPEED_MIN) {
      // The particle travels along the velocity, so it came from the other end.
      return { x: -line.vx, y: -line.vy, z: -line.vz, isDegenerate: false }
    }
    return { ...principalAxis(pulses), isDegenerate: true }
  }
}

function gather(pulses: Pulses, { sensorIds, times }: EventBatch, rows: Int32Array): void {
  pulses.count = rows.length
  for (let i = 0; i < rows.length; i++) {
    const at = sensorIds[rows[i]] * 3
    pulses.x[i] = sensorPositions[at]
    pulses.y[i] = sensorPositions[at + 1]
    pulses.z[i] = sensorPositions[at + 2]
    pulses.t[i] = times[rows[i]] - times[rows[0]]
  }
}

/** Weight 0 for each pulse that comes more than 778 ns after any other pulse within 156 m, otherwise 1. */
function dropLate({ count, x, y, z, t, weight }: Pulses): void {
  for (let i = 0; i < count; i++) {
    weight[i] = 1
    // Pulses are in time order: the first that is not early enough ends the search.
    for (let j = 0; j < i && t[i] - t[j] > CLEANING_DELAY_NS; j++) {
      const dx = x[i] - x[j]
      const dy = y[i] - y[j]
      const dz = z[i] - z[j]
      if (dx * dx + dy * dy + dz * dz <= CLEANING_RADIUS_M ** 2) {
        weight[i] = 0
        break
      }
    }
  }
}

/** Least squares, then `HUBER_ITERATIONS` times again with weights mu ÷ distance beyond mu. */
function fitHuber(pulses: Pulses): Line | undefined {
  const { count, weight } = pulses
  let line = fitWeighted(pulses)
  for (let iteration = 0; line && iteration < HUBER_ITERATIONS; iteration++) {
    for (let i = 0; i < count; i++) {
      if (weight[i] === 0) continue
      const distance = Math.sqrt(distance2(pulses, i, line))
      weight[i] = distance < HUBER_MU_M ? 1 : HUBER_MU_M / distance
    }
    line = fitWeighted(pulses)
  }
  return line
}

/** Least squares on the pulses within 116 m of `line`; undefined where those fix no velocity. */
function fitNear(pulses: Pulses, line: Line): Line | undefined {
  const { count, weight } = pulses
  for (let i = 0; i < count; i++) {
    if (weight[i] === 0) continue
    weight[i] = distance2(pulses, i, line) <= DEBIAS_RADIUS_M ** 2 ? 1 : 0
  }
  return fitWeighted(pulses)
}

/** Distance squared, m², between pulse `i` and the point of `line` at its time. */
function distance2({ x, y, z, t }: Pulses, i: number, line: Line): number {
  const dx = line.x0 + line.vx * t[i] - x[i]
  const dy = line.y0 + line.vy * t[i] - y[i]
  const dz = line.z0 + line.vz * t[i] - z[i]
  return dx * dx + dy * dy + dz * dz
}

/** v = cov(r, t) / var(t), r0 = mean(r) − v mean(t), weighted; undefined where the times have no spread. */
function fitWeighted({ count, x, y, z, t, weight }: Pulses): Line | undefined {
  let [sum, mt, mx, my, mz] = [0, 0, 0, 0, 0]
  for (let i = 0; i < count; i++) {
    const w = weight[i]
    sum += w
    mt += w * t[i]
    mx += w * x[i]
    my += w * y[i]
    mz += w * z[i]
  }
  mt /= sum
  mx /= sum
  my /= sum
  mz /= sum
  let [tt, xt, yt, zt] = [0, 0, 0, 0]
  for (let i = 0; i < count; i++) {
    const dt = weight[i] * (t[i] - mt)
    tt += dt * (t[i] - mt)
    xt += dt * (x[i] - mx)
    yt += dt * (y[i] - my)
    zt += dt * (z[i] - mz)
  }
  // Also catches sum = 0, which makes NaN.
  if (!(tt / sum >= TIME_VARIANCE_MIN)) return undefined
  const [vx, vy, vz] = [xt / tt, yt / tt, zt / tt]
  return { vx, vy, vz, x0: mx - vx * mt, y0: my - vy * mt, z0: mz - vz * mt }
}

export interface Vector {
  readonly x: number
  readonly y: number
  readonly z: number
}

/** Places of pulses, m. The first `count` of each array are valid. */
export interface Places {
  readonly count: number
  readonly x: Float64Array
  readonly y: Float64Array
  readonly z: Float64Array
}

/** Squaring the covariance this often raises it to the power 1,024, which leaves only its largest axis. */
const SQUARINGS = 10
/** A total variance (m²) below which the places are one point. */
const VARIANCE_MIN = 1e-3

/** Longest axis of the places, its upper end; straight up where they are one point. Length above 0. */
export function principalAxis(places: Places): Vector {
  let [xx, xy, xz, yy, yz, zz] = covariance(places)
  if (!(xx + yy + zz >= VARIANCE_MIN)) return { x: 0, y: 0, z: 1 }
  for (let squaring = 0; squaring < SQUARINGS; squaring++) {
    const scale = 1 / (xx + yy + zz) ** 2
    ;[xx, xy, xz, yy, yz, zz] = [
      (xx * xx + xy * xy + xz * xz) * scale,
      (xx * xy + xy * yy + xz * yz) * scale,
      (xx * xz + xy * yz + xz * zz) * scale,
      (xy * xy + yy * yy + yz * yz) * scale,
      (xy * xz + yy * yz + yz * zz) * scale,
      (xz * xz + yz * yz + zz * zz) * scale,
    ]
  }
  // Each column is now along the axis; the one with the largest diagonal is the longest.
  if (zz >= xx && zz >= yy) return upperEnd(xz, yz, zz)
  return yy >= xx ? upperEnd(xy, yy, yz) : upperEnd(xx, xy, xz)
}

function upperEnd(x: number, y: number, z: number): Vector {
  return z < 0 ? { x: -x, y: -y, z: -z } : { x, y, z }
}

/** xx, xy, xz, yy, yz, zz. */
function covariance({ count, x, y, z }: Places): [number, number, number, number, number, number] {
  let [mx, my, mz] = [0, 0, 0]
  for (let i = 0; i < count; i++) {
    mx += x[i] / count
    my += y[i] / count
    mz += z[i] / count
  }
  let [xx, xy, xz, yy, yz, zz] = [0, 0, 0, 0, 0, 0]
  for (let i = 0; i < count; i++) {
    const [dx, dy, dz] = [x[i] - mx, y[i] - my, z[i] - mz]
    xx += (dx * dx) / count
    xy += (dx * dy) / count
    xz += (dx * dz) / count
    yy += (dy * dy) / count
    yz += (dy * dz) / count
    zz += (dz * dz) / count
  }
  return [xx, xy, xz, yy, yz, zz]
}

export function buildLineFitExecutor(): Executor {
  const fitLine = buildLineFit()
  return {
    graph: undefined,
    async answer(batch) {
      const answers = allocateDirections(eventCount(batch))
      for (let event = 0; event < eventCount(batch); event++) {
        const { x, y, z, isDegenerate } = fitLine(batch, event)
        const direction = fromSourceVector(x, y, z)
        answers.azimuth[event] = direction.azimuth
        answers.zenith[event] = direction.zenith
        answers.degenerate[event] = isDegenerate ? 1 : 0
      }
      return answers
    },
    async runTensors() {
      throw new Error('the built-in line fit is not a network: it takes events, not tensors')
    },
    async release() {},
  }
}
