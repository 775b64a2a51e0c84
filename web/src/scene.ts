import type { DirectionRad, DrawnEvent, DrawnPulses } from '../../src/display/messages.ts'
import { angularDistance, toSourceVector, vmfRadius } from '../../src/event/direction.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { chargeOverTime, type PulseMarks, pulseMarks, type TimeWindow, timeWindow } from './pulse-columns.ts'
import { across, dot, plus, times, type Vector } from './vector.ts'

/** The drawing of one event as plain data in detector coordinates (m, ns). */
export interface Scene {
  readonly key: string
  readonly window: TimeWindow
  readonly marks: PulseMarks
  /** Charge in equal steps of the window, for the time line. */
  readonly charge: Float32Array
  /** Centre of the light: all lines go through it. */
  readonly anchor: Vector
  readonly lines: readonly SceneLine[]
  readonly cones: readonly SceneCone[]
  readonly flight: Flight
}

export interface SceneLine {
  readonly role: 'reconstructed' | 'truth' | 'reference' | 'line-fit'
  readonly label: string
  /** The particle travels from `tail` to `head`, away from the source. */
  readonly tail: Vector
  readonly head: Vector
}

/** Cone of source directions with a given probability: from `apex` out through `rim`. */
export interface SceneCone {
  readonly share: number
  readonly radiusRad: number
  readonly apex: Vector
  /** Points round the edge, the first not repeated. [points × 3] */
  readonly rim: Float32Array
}

/** The particle on the reconstructed line, at the speed of light; it passes the anchor at the mean time of the light. */
export interface Flight {
  readonly anchorNs: number
  readonly travel: Vector
  /** From the anchor to the ends of the line, m. */
  readonly headM: number
  readonly tailM: number
}

/** Probabilities of the cones. */
export const CONE_SHARES = [0.5, 0.9] as const
export const TIME_BINS = 120

const LIGHT_M_PER_NS = 0.299792458
/** Lines end on a sphere of this radius about the detector's centre, so that the picture holds all of them. */
const REACH_M = 700
/** Smallest distance from the centre of the light to the ends of a line. */
const LINE_MIN_M = 150
/** Length of the cones as a share of the distance to that sphere. */
const CONE_REACH = 0.82
const CONE_MIN_M = 280
const RIM_POINTS = 64
/** Lines closer than this look like one line. */
const SAME_LINE_RAD = 0.01

export function buildScene(event: DrawnEvent): Scene {
  const { key, pulses, prediction } = event
  const window = timeWindow(pulses)
  const { anchor, anchorNs } = centreOfLight(pulses, window)
  const travel = travelVector(prediction)
  return {
    key,
    window,
    marks: pulseMarks(pulses, window),
    charge: chargeOverTime(pulses, window, TIME_BINS),
    anchor,
    lines: sceneLines(event, anchor),
    cones: prediction.kappa === null ? [] : buildCones(prediction, prediction.kappa, anchor),
    flight: { anchorNs, travel, headM: reach(anchor, travel), tailM: reach(anchor, times(travel, -1)) },
  }
}

/** Unit vector along which the particle travels. */
export function travelVector({ azimuth, zenith }: DirectionRad): Vector {
  return times(toSourceVector(azimuth, zenith), -1)
}

/** Position of the particle at a time, limited to the length of the arrow. */
export function particleAt({ anchor, flight }: Scene, timeNs: number): Vector {
  const along = (timeNs - flight.anchorNs) * LIGHT_M_PER_NS
  const { headM, tailM } = flight
  return plus(anchor, times(flight.travel, Math.min(headM, Math.max(-tailM, along))))
}

/** False before the particle reaches its line and after it leaves it; then the arrow's head is visible. */
export function isInFlight({ flight }: Scene, timeNs: number): boolean {
  const along = (timeNs - flight.anchorNs) * LIGHT_M_PER_NS
  return along > -flight.tailM && along < flight.headM
}

function sceneLines(event: DrawnEvent, anchor: Vector): SceneLine[] {
  const { prediction, lineFit, truth, reference } = event
  const isLineFit = lineFit !== null && angularDistance(prediction, lineFit) < SAME_LINE_RAD
  const lines = [
    buildLine('reconstructed', reconstructedLabel(event, isLineFit), { direction: prediction, anchor }),
  ]
  if (truth) lines.push(buildLine('truth', 'truth', { direction: truth, anchor }))
  if (reference) lines.push(buildLine('reference', 'reference', { direction: reference, anchor }))
  if (lineFit && !isLineFit) lines.push(buildLine('line-fit', 'line fit', { direction: lineFit, anchor }))
  return lines
}

function reconstructedLabel({ prediction }: DrawnEvent, isLineFit: boolean): string {
  if (prediction.degenerate) return 'not determined'
  return isLineFit ? 'reconstructed = line fit' : 'reconstructed'
}

function buildLine(
  role: SceneLine['role'],
  label: string,
  { direction, anchor }: { readonly direction: DirectionRad; readonly anchor: Vector },
): SceneLine {
  const travel = travelVector(direction)
  const end = (way: Vector) => plus(anchor, times(way, reach(anchor, way)))
  return { role, label, tail: end(times(travel, -1)), head: end(travel) }
}

/** From a point along a unit vector to the limiting sphere, or to a larger one if the point is near or outside it. */
function reach(from: Vector, way: Vector): number {
  const away = dot(from, from)
  const radius = Math.max(REACH_M, Math.sqrt(away) + LINE_MIN_M)
  const along = dot(from, way)
  return Math.sqrt(along ** 2 + radius ** 2 - away) - along
}

function buildCones(direction: DirectionRad, kappa: number, apex: Vector): SceneCone[] {
  const source = toSourceVector(direction.azimuth, direction.zenith)
  const length = Math.max(CONE_MIN_M, CONE_REACH * reach(apex, source))
  const [first, second] = across(source)
  return CONE_SHARES.map((share) => {
    const radiusRad = vmfRadius(share, kappa)
    const rim = new Float32Array(3 * RIM_POINTS)
    for (let i = 0; i < RIM_POINTS; i++) {
      const turn = (2 * Math.PI * i) / RIM_POINTS
      const outwards = plus(times(first, Math.cos(turn)), times(second, Math.sin(turn)))
      const ray = plus(times(source, Math.cos(radiusRad)), times(outwards, Math.sin(radiusRad)))
      rim.set(plus(apex, times(ray, length)), 3 * i)
    }
    return { share, radiusRad, apex, rim }
  })
}

/** Charge-weighted mean position and time of the light: of non-auxiliary pulses in the window, if there are any. */
function centreOfLight(
  pulses: DrawnPulses,
  { fromNs, toNs }: TimeWindow,
): { anchor: Vector; anchorNs: number } {
  const { sensorIds, timesNs, charges, auxiliary } = pulses
  const all = sensorIds.map((_, i) => i)
  const inside = all.filter((i) => auxiliary[i] === 0 && timesNs[i] >= fromNs && timesNs[i] <= toNs)
  const used = inside.length > 0 ? inside : all
  const total = used.reduce((sum, i) => sum + charges[i], 0)
  if (total === 0) return { anchor: [0, 0, 0], anchorNs: fromNs }
  const mean = (value: (i: number) => number) =>
    used.reduce((sum, i) => sum + charges[i] * value(i), 0) / total
  const axis = (which: number) => mean((i) => sensorPositions[3 * sensorIds[i] + which])
  return { anchor: [axis(0), axis(1), axis(2)], anchorNs: mean((i) => timesNs[i]) }
}
