import type { DrawnPulses } from '../../src/display/messages.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { scaleColour } from './colour.ts'

/** The part of the event's clock that is played and that the colours span, ns. */
export interface TimeWindow {
  readonly fromNs: number
  readonly toNs: number
}

/** One mark per pulse, in order of time, as columns for the graphics card. */
export interface PulseMarks {
  readonly count: number
  /** Position of the sensor, m. [count × 3] */
  readonly positions: Float32Array
  /** Radius for the sensor's charge up to and including this pulse, m. [count] */
  readonly radii: Float32Array
  /** Time at which the mark appears, as a share of the window, 0 to 1. [count] */
  readonly shares: Float32Array
  /** Time at which the next mark of the same sensor replaces it; 9 for the last. [count] */
  readonly untils: Float32Array
  /** [count × 3] */
  readonly colours: Float32Array
  /** 1 if all of the sensor's pulses are auxiliary: drawn as a ring. [count] */
  readonly isFaint: Float32Array
}

/** Larger than every share of a window. */
const NEVER = 9
const WINDOW_MIN_NS = 600
/** A particle crosses the detector in at most 3.3 µs; its light takes up to about the same time in addition. */
const CROSSING_NS = 6_000
const RADIUS_OF_ONE_PE_M = 9
const RADIUS_MAX_M = 40

/** Radius of a sensor that has measured a charge (photo-electrons), m: grows more slowly than the charge, up to a maximum. */
export function chargeRadius(charge: number): number {
  return Math.min(RADIUS_MAX_M, RADIUS_OF_ONE_PE_M * charge ** 0.33)
}

/**
 * The time window with most of an event's light. It excludes noise (auxiliary pulses, unless there are no others) and
 * long afterglow; of light too far apart in time to come from one particle, it takes the brighter part. Pulses outside
 * the window are shown at its start or end.
 */
export function timeWindow(pulses: DrawnPulses): TimeWindow {
  const { timesNs, charges, auxiliary } = pulses
  const all = timesNs.map((_, i) => ({ timeNs: timesNs[i], isGood: auxiliary[i] === 0, charge: charges[i] }))
  const good = all.filter(({ isGood }) => isGood)
  // The square root keeps one very bright sensor from dominating the event.
  const light = (good.length > 0 ? good : all).map(({ timeNs, charge }) => ({
    timeNs,
    weight: Math.sqrt(charge),
  }))
  if (light.length === 0) return { fromNs: 0, toNs: WINDOW_MIN_NS }
  const one = brightest(light)
  const from = timeAt(one, 0.02)
  const width = Math.max(timeAt(one, 0.93) - from, WINDOW_MIN_NS / 1.2)
  return { fromNs: from - 0.06 * width, toNs: from + 1.14 * width }
}

interface Light {
  readonly timeNs: number
  readonly weight: number
}

/** The part with the most light within the longest time that one particle takes. In order of time, as is `light`. */
function brightest(light: readonly Light[]): readonly Light[] {
  let best = { from: 0, to: 0, weight: 0 }
  let weight = 0
  let from = 0
  for (const [to, last] of light.entries()) {
    weight += last.weight
    while (last.timeNs - light[from].timeNs > CROSSING_NS) weight -= light[from++].weight
    if (weight > best.weight) best = { from, to, weight }
  }
  return light.slice(best.from, best.to + 1)
}

/** Time at which a share of the light has arrived. */
function timeAt(light: readonly Light[], share: number): number {
  const total = light.reduce((sum, { weight }) => sum + weight, 0)
  let left = share * total
  for (const { timeNs, weight } of light) {
    left -= weight
    if (left <= 0) return timeNs
  }
  return light[light.length - 1].timeNs
}

export function shareOf({ fromNs, toNs }: TimeWindow, timeNs: number): number {
  return Math.min(1, Math.max(0, (timeNs - fromNs) / (toNs - fromNs)))
}

/** A sensor has the colour of its first non-auxiliary pulse, so that earlier noise does not hide the light. */
export function pulseMarks(pulses: DrawnPulses, window: TimeWindow): PulseMarks {
  const { sensorIds, timesNs, charges, auxiliary } = pulses
  const count = sensorIds.length
  const firstGoodNs = new Map<number, number>()
  for (let i = count - 1; i >= 0; i--) if (auxiliary[i] === 0) firstGoodNs.set(sensorIds[i], timesNs[i])
  const positions = new Float32Array(3 * count)
  const radii = new Float32Array(count)
  const shares = new Float32Array(count)
  const untils = new Float32Array(count).fill(NEVER)
  const lastMark = new Map<number, number>()
  const colours = new Float32Array(3 * count)
  const isFaint = new Float32Array(count)
  const chargeSoFar = new Map<number, number>()
  for (let i = 0; i < count; i++) {
    const sensor = sensorIds[i]
    const charge = (chargeSoFar.get(sensor) ?? 0) + charges[i]
    chargeSoFar.set(sensor, charge)
    positions.set(sensorPositions.subarray(3 * sensor, 3 * sensor + 3), 3 * i)
    radii[i] = chargeRadius(charge)
    shares[i] = shareOf(window, timesNs[i])
    const before = lastMark.get(sensor)
    if (before !== undefined) untils[before] = shares[i]
    lastMark.set(sensor, i)
    colours.set(scaleColour(shareOf(window, firstGoodNs.get(sensor) ?? timesNs[i])), 3 * i)
    isFaint[i] = firstGoodNs.has(sensor) ? 0 : 1
  }
  return { count, positions, radii, shares, untils, colours, isFaint }
}

/** Charge of the non-auxiliary pulses in equal steps of the window, photo-electrons; pulses outside are excluded. */
export function chargeOverTime(
  pulses: DrawnPulses,
  { fromNs, toNs }: TimeWindow,
  bins: number,
): Float32Array {
  const sums = new Float32Array(bins)
  for (const [i, timeNs] of pulses.timesNs.entries()) {
    const bin = Math.floor(((timeNs - fromNs) / (toNs - fromNs)) * bins)
    if (pulses.auxiliary[i] === 0 && bin >= 0 && bin < bins) sums[bin] += pulses.charges[i]
  }
  return sums
}
