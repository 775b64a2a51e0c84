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

/** Place on the map's sphere, degrees: longitude -180 to 180, latitude -90 to 90. */
export type LonLat = [number, number]

/** Whose sky the map shows: that of the detector unless the stream carries UTC. */
export type SkyFrame = 'detector' | 'equatorial'

export interface SkyCircle {
  readonly centre: LonLat
  readonly radiusDegrees: number
}

const DEGREES = 180 / Math.PI
/** Circles up to this radius are drawn with their full strength. */
const WELL_KNOWN_DEGREES = 20
const CIRCLE_STEP_DEGREES = 3
/** The circle of each event: the share of probability that it holds. */
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
    // Right ascension grows to the left, as the sky is seen from inside.
    .reflectX(frame === 'equatorial')
    .precision(0.3)
  // √8 wide and √2 high at scale 1 on either side of the centre.
  const scale = Math.min((width / 2 - marginPx) / (2 * Math.SQRT2), (height / 2 - marginPx) / Math.SQRT2)
  return projection.scale(scale).translate([width / 2, height / 2])
}

/** Where the neutrino came from on the detector's own sphere: azimuth along, straight down-going at the top. */
export function toLonLat({ azimuth, zenith }: DirectionRad): LonLat {
  return [wrap(azimuth * DEGREES), 90 - zenith * DEGREES]
}

export function frameOf(points: SkyPoints): SkyFrame {
  return points.utcMs && points.utcMs.length > 0 ? 'equatorial' : 'detector'
}

/** Where a point is on the map, in whichever frame the whole stream allows. */
export function placeOf(points: SkyPoints, i: number): LonLat {
  const direction = { azimuth: points.azimuth[i], zenith: points.zenith[i] }
  const utcMs = points.utcMs?.[i]
  return utcMs === undefined ? toLonLat(direction) : equatorialLonLat(direction, utcMs)
}

/** As `placeOf`, of one event; undefined where the map needs a time that it lacks. */
export function placeIn(
  frame: SkyFrame,
  direction: DirectionRad,
  utcMs: number | undefined,
): LonLat | undefined {
  if (frame === 'detector') return toLonLat(direction)
  return utcMs === undefined ? undefined : equatorialLonLat(direction, utcMs)
}

/** The error circle of a point; undefined where the model gives no uncertainty. */
export function circleOf(centre: LonLat, kappa: number | null): SkyCircle | undefined {
  if (kappa === null) return undefined
  return { centre, radiusDegrees: vmfRadius(CIRCLE_SHARE, kappa) * DEGREES }
}

/**
 * A circle as a line: as a shape, one that crosses the edge of the map would take the edge itself for a part of it.
 */
export function circleLine({ centre, radiusDegrees }: SkyCircle): {
  readonly type: 'LineString'
  readonly coordinates: LonLat[]
} {
  const [ring] = geoCircle().center(centre).radius(radiusDegrees).precision(CIRCLE_STEP_DEGREES)().coordinates
  return { type: 'LineString', coordinates: ring.map(([lon, lat]): LonLat => [lon, lat]) }
}

/**
 * How strongly a circle is drawn, 0 to 1; `newness` runs from 0 (oldest that has one) to 1. A circle that holds half the
 * sky says little, and lies on all others: it is drawn faintly.
 */
export function circleOpacity({ radiusDegrees }: SkyCircle, newness: number): number {
  return (0.35 + 0.6 * newness) * Math.min(1, WELL_KNOWN_DEGREES / radiusDegrees)
}

/** Index of the point nearest to a place in the picture, within a reach in its pixels; undefined where none is. */
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
