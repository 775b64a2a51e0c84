import {
  type GeoProjection,
  type GeoRawProjection,
  geoAzimuthalEqualAreaRaw,
  geoCircle,
  geoProjection,
} from 'd3-geo'
import type { DirectionRad, SkyPoints } from '../../src/display/messages.ts'
import { vmfRadius } from '../../src/event/direction.ts'
import { ICECUBE_SITE, toEquatorial } from '../../src/sky/coordinates.ts'

/** Position on the map's sphere, degrees: longitude -180 to 180, latitude -90 to 90. */
export type LonLat = [number, number]

/** Frame of the map: detector coordinates unless the stream carries UTC. */
export type SkyFrame = 'detector' | 'equatorial'

export interface SkyCircle {
  readonly centre: LonLat
  readonly radiusDegrees: number
}

const DEGREES = 180 / Math.PI
/** Circles up to this radius are drawn at full strength. */
const WELL_KNOWN_DEGREES = 20
const CIRCLE_STEP_DEGREES = 3
/** Probability within the circle of each event. */
export const CIRCLE_SHARE = 0.5

/** Hammer's equal-area projection of the whole sphere onto an ellipse twice as wide as high. */
const hammerRaw: GeoRawProjection = (lambda, phi) => {
  const [x, y] = geoAzimuthalEqualAreaRaw(lambda / 2, phi)
  return [2 * x, y]
}

/** The map within a box, with 180° of longitude in its middle. */
export function skyProjection(width: number, height: number, frame: SkyFrame): GeoProjection {
  const marginPx = 2
  const projection = geoProjection(hammerRaw)
    .rotate([-180, 0])
    // Right ascension increases to the left, as the sky is seen from inside.
    .reflectX(frame === 'equatorial')
    .precision(0.3)
  // √8 wide and √2 high at scale 1 on either side of the centre.
  const scale = Math.min((width / 2 - marginPx) / (2 * Math.SQRT2), (height / 2 - marginPx) / Math.SQRT2)
  return projection.scale(scale).translate([width / 2, height / 2])
}

/** Direction to the source on the detector's sphere: azimuth as longitude, straight down-going at the top. */
export function toLonLat({ azimuth, zenith }: DirectionRad): LonLat {
  return [wrap(azimuth * DEGREES), 90 - zenith * DEGREES]
}

export function frameOf(points: SkyPoints): SkyFrame {
  return points.utcMs && points.utcMs.length > 0 ? 'equatorial' : 'detector'
}

/** Position of a point on the map, in the frame that the whole stream allows. */
export function placeOf(points: SkyPoints, i: number): LonLat {
  const direction = { azimuth: points.azimuth[i], zenith: points.zenith[i] }
  const utcMs = points.utcMs?.[i]
  return utcMs === undefined ? toLonLat(direction) : equatorialLonLat(direction, utcMs)
}

/** As `placeOf`, of one event; undefined if the map needs a time that the event lacks. */
export function placeIn(
  frame: SkyFrame,
  direction: DirectionRad,
  utcMs: number | undefined,
): LonLat | undefined {
  if (frame === 'detector') return toLonLat(direction)
  return utcMs === undefined ? undefined : equatorialLonLat(direction, utcMs)
}

/** The error circle of a point; undefined if the model gives no uncertainty. */
export function circleOf(centre: LonLat, kappa: number | null): SkyCircle | undefined {
  if (kappa === null) return undefined
  return { centre, radiusDegrees: vmfRadius(CIRCLE_SHARE, kappa) * DEGREES }
}

/**
 * A circle as a line: a filled shape that crosses the edge of the map would include parts of the edge.
 */
export function circleLine({ centre, radiusDegrees }: SkyCircle): {
  readonly type: 'LineString'
  readonly coordinates: LonLat[]
} {
  const [ring] = geoCircle().center(centre).radius(radiusDegrees).precision(CIRCLE_STEP_DEGREES)().coordinates
  return { type: 'LineString', coordinates: ring.map(([lon, lat]): LonLat => [lon, lat]) }
}

/**
 * Strength with which a circle is drawn, 0 to 1; `newness` runs from 0 (the oldest circle) to 1. A very large circle
 * carries little information and covers all others: it is drawn faintly.
 */
export function circleOpacity({ radiusDegrees }: SkyCircle, newness: number): number {
  return (0.35 + 0.6 * newness) * Math.min(1, WELL_KNOWN_DEGREES / radiusDegrees)
}

/** Index of the point nearest to a position in the picture, within a distance in pixels; undefined without one. */
export function nearest(
  places: readonly (readonly [number, number] | null)[],
  [x, y]: readonly [number, number],
  reachPx: number,
): number | undefined {
  let best: number | undefined
  let bestPx = reachPx
  for (const [i, place] of places.entries()) {
    if (!place) continue
    const distancePx = Math.hypot(place[0] - x, place[1] - y)
    if (distancePx <= bestPx) {
      best = i
      bestPx = distancePx
    }
  }
  return best
}

function equatorialLonLat(direction: DirectionRad, utcMs: number): LonLat {
  const { rightAscension, declination } = toEquatorial(direction, utcMs, ICECUBE_SITE)
  return [wrap(rightAscension * DEGREES), declination * DEGREES]
}

function wrap(degrees: number): number {
  return degrees > 180 ? degrees - 360 : degrees
}
