/**
 * Celestial coordinates of a direction seen by a detector. Pure; also runs in the browser.
 *
 * The chain is that of the IERS Conventions 2010, chapter 5: local frame, Earth rotation angle, pole of date, annual
 * aberration. The pole is a short series fitted to IAU 2006/2000A. From 2000 to 2050 the result is within 0.0002° of ERFA
 * where UT1 = UTC. The true UT1 - UTC is below 0.9 s, which moves right ascension by at most 0.0038°.
 */

/** Position of a detector and orientation of its axes. */
export interface Site {
  /** Geodetic latitude, degrees, north positive. */
  readonly latitude: number
  /** Degrees, east positive. */
  readonly longitude: number
  /** Azimuth of the detector's +y axis, degrees from true north towards east. */
  readonly axis: number
}

/** Direction to the source in the frame of a detector, radians. Azimuth is anticlockwise from +x, seen from above. */
export interface LocalDirection {
  readonly azimuth: number
  /** 0 is vertically above. */
  readonly zenith: number
}

/** ICRS, radians. */
export interface Equatorial {
  /** 0 to 2π. */
  readonly rightAscension: number
  /** -π/2 to π/2. */
  readonly declination: number
}

/** Galactic coordinates (ESA 1997), radians. */
export interface Galactic {
  /** 0 to 2π. */
  readonly longitude: number
  /** -π/2 to π/2. */
  readonly latitude: number
}

/** IceCube: its +y axis is grid north, the meridian of Greenwich (icetray, I3Astro.h). */
export const ICECUBE_SITE: Site = { latitude: -89.9944, longitude: -62.6081, axis: 62.6081 }

type Vector = readonly [number, number, number]

const DEGREE = Math.PI / 180
const ARC_SECOND = Math.PI / 648_000
const TAU = 2 * Math.PI
/** 2000-01-01 12:00 UTC, Unix milliseconds. */
const J2000_MS = 946_728_000_000
const DAY_MS = 86_400_000
const CENTURY_DAYS = 36_525

/**
 * ICRS coordinates of a direction.
 * @param utcMs Unix time in milliseconds, with a fraction if it is known
 */
export function toEquatorial(direction: LocalDirection, utcMs: number, site: Site): Equatorial {
  const earth = earthAt(utcMs)
  const terrestrial = toTerrestrial(localVector(direction, site), site)
  const apparent = toCelestial(terrestrial, earth)
  const [bx, by, bz] = earth.velocity
  const [longitude, latitude] = toAngles([apparent[0] - bx, apparent[1] - by, apparent[2] - bz])
  return { rightAscension: longitude, declination: latitude }
}

/** The direction of a sky position in the frame of a detector: the inverse of `toEquatorial`. */
export function toLocal(
  { rightAscension, declination }: Equatorial,
  utcMs: number,
  site: Site,
): LocalDirection {
  const earth = earthAt(utcMs)
  const [x, y, z] = toVector(rightAscension, declination)
  const [bx, by, bz] = earth.velocity
  const terrestrial = fromCelestial([x + bx, y + by, z + bz], earth)
  return localDirection(fromTerrestrial(terrestrial, site), site)
}

/** Rows: the galactic axes in ICRS (ESA 1997, The Hipparcos and Tycho Catalogues, §1.5.3). */
const GALACTIC_AXES: readonly [Vector, Vector, Vector] = [
  [-0.0548755604162, -0.8734370902349, -0.4838350155487],
  [0.4941094278756, -0.44482963, 0.7469822444972],
  [-0.867666149019, -0.1980763734312, 0.4559837761751],
]

export function toGalactic({ rightAscension, declination }: Equatorial): Galactic {
  const vector = toVector(rightAscension, declination)
  const [a, b, c] = GALACTIC_AXES
  const [longitude, latitude] = toAngles([dot(a, vector), dot(b, vector), dot(c, vector)])
  return { longitude, latitude }
}

export function fromGalactic({ longitude, latitude }: Galactic): Equatorial {
  const [l, m, n] = toVector(longitude, latitude)
  const [a, b, c] = GALACTIC_AXES
  const axis = (i: 0 | 1 | 2) => a[i] * l + b[i] * m + c[i] * n
  const [rightAscension, declination] = toAngles([axis(0), axis(1), axis(2)])
  return { rightAscension, declination }
}

interface Earth {
  /** Rotation of the Earth plus the part of the celestial pole's motion about its own axis, radians. */
  readonly rotation: number
  /** Pole of date in the celestial frame. */
  readonly poleX: number
  readonly poleY: number
  /** Velocity of the Earth in units of the speed of light, ICRS axes. */
  readonly velocity: Vector
}

function earthAt(utcMs: number): Earth {
  const days = (utcMs - J2000_MS) / DAY_MS
  const t = days / CENTURY_DAYS
  const { x, y } = poleOfDate(t)
  // Whole turns are dropped first, so that double precision is enough.
  const turns = (days % 1) + 0.779057273264 + 0.00273781191135448 * days
  return {
    rotation: TAU * (turns % 1) + (x * y) / 2,
    poleX: x,
    poleY: y,
    velocity: velocityOfEarth(t),
  }
}

/**
 * X and Y of the celestial intermediate pole, radians: precession, nutation and frame bias. Fitted to IAU 2006/2000A from
 * 1999 to 2050; residuals below 0.16 and 0.09 arc seconds. `t`: Julian centuries since J2000.
 */
function poleOfDate(t: number): { x: number; y: number } {
  const node = (125.0446 - 1934.1363 * t) * DEGREE
  const f = (93.2721 + 483_202.0175 * t) * DEGREE
  const d = (297.8502 + 445_267.1114 * t) * DEGREE
  const sunAnomaly = (357.5291 + 35_999.0503 * t) * DEGREE
  const sun = 2 * f - 2 * d + 2 * node
  const moon = 2 * f + 2 * node
  const { sin, cos } = Math
  const x =
    -0.0093 +
    2004.0687 * t -
    0.1727 * t * t -
    6.8437 * sin(node) -
    0.5238 * sin(sun) -
    0.0919 * sin(moon) +
    0.0806 * sin(2 * node) +
    0.0511 * sin(sunAnomaly)
  const y =
    -0.0048 -
    0.032 * t -
    22.3934 * t * t +
    9.2052 * cos(node) +
    0.5724 * cos(sun) +
    0.0994 * cos(moon) -
    0.0897 * cos(2 * node) +
    0.1569 * t * sin(node)
  return { x: x * ARC_SECOND, y: y * ARC_SECOND }
}

/** From the Sun's apparent motion; within 0.03 arc seconds of ERFA's epv00. */
function velocityOfEarth(t: number): Vector {
  const anomaly = (357.5291 + 35_999.0503 * t) * DEGREE
  const longitude =
    (280.46646 + 36_000.76983 * t - 1.397 * t) * DEGREE +
    (1.914602 * Math.sin(anomaly) + 0.019993 * Math.sin(2 * anomaly)) * DEGREE
  const aberration = 20.4955 * ARC_SECOND
  const eccentricity = 0.016709
  const perihelion = 102.94 * DEGREE
  const obliquity = 23.4393 * DEGREE
  const vx = aberration * (Math.sin(longitude) - eccentricity * Math.sin(perihelion))
  const v = -aberration * (Math.cos(longitude) - eccentricity * Math.cos(perihelion))
  return [vx, v * Math.cos(obliquity), v * Math.sin(obliquity)]
}

/** East, north, up. */
function localVector({ azimuth, zenith }: LocalDirection, { axis }: Site): Vector {
  const fromNorth = Math.PI / 2 - azimuth + axis * DEGREE
  const horizontal = Math.sin(zenith)
  return [horizontal * Math.sin(fromNorth), horizontal * Math.cos(fromNorth), Math.cos(zenith)]
}

function localDirection([east, north, up]: Vector, { axis }: Site): LocalDirection {
  const azimuth = wrapped(Math.PI / 2 + axis * DEGREE - Math.atan2(east, north))
  return { azimuth, zenith: Math.atan2(Math.hypot(east, north), up) }
}

function toTerrestrial([east, north, up]: Vector, { latitude, longitude }: Site): Vector {
  const [sinLat, cosLat] = [Math.sin(latitude * DEGREE), Math.cos(latitude * DEGREE)]
  const [sinLon, cosLon] = [Math.sin(longitude * DEGREE), Math.cos(longitude * DEGREE)]
  return [
    -sinLon * east - sinLat * cosLon * north + cosLat * cosLon * up,
    cosLon * east - sinLat * sinLon * north + cosLat * sinLon * up,
    cosLat * north + sinLat * up,
  ]
}

function fromTerrestrial([x, y, z]: Vector, { latitude, longitude }: Site): Vector {
  const [sinLat, cosLat] = [Math.sin(latitude * DEGREE), Math.cos(latitude * DEGREE)]
  const [sinLon, cosLon] = [Math.sin(longitude * DEGREE), Math.cos(longitude * DEGREE)]
  return [
    -sinLon * x + cosLon * y,
    -sinLat * cosLon * x - sinLat * sinLon * y + cosLat * z,
    cosLat * cosLon * x + cosLat * sinLon * y + sinLat * z,
  ]
}

/** Rotates Earth-fixed axes to those of the ICRS. */
function toCelestial([x, y, z]: Vector, { rotation, poleX, poleY }: Earth): Vector {
  const [sin, cos] = [Math.sin(rotation), Math.cos(rotation)]
  const [c1, c2, c3] = [x * cos - y * sin, x * sin + y * cos, z]
  const poleZ = Math.sqrt(1 - poleX * poleX - poleY * poleY)
  const a = 1 / (1 + poleZ)
  return [
    (1 - a * poleX * poleX) * c1 - a * poleX * poleY * c2 + poleX * c3,
    -a * poleX * poleY * c1 + (1 - a * poleY * poleY) * c2 + poleY * c3,
    -poleX * c1 - poleY * c2 + poleZ * c3,
  ]
}

function fromCelestial([g1, g2, g3]: Vector, { rotation, poleX, poleY }: Earth): Vector {
  const poleZ = Math.sqrt(1 - poleX * poleX - poleY * poleY)
  const a = 1 / (1 + poleZ)
  const c1 = (1 - a * poleX * poleX) * g1 - a * poleX * poleY * g2 - poleX * g3
  const c2 = -a * poleX * poleY * g1 + (1 - a * poleY * poleY) * g2 - poleY * g3
  const c3 = poleX * g1 + poleY * g2 + poleZ * g3
  const [sin, cos] = [Math.sin(rotation), Math.cos(rotation)]
  return [c1 * cos + c2 * sin, -c1 * sin + c2 * cos, c3]
}

function toVector(longitude: number, latitude: number): Vector {
  const horizontal = Math.cos(latitude)
  return [horizontal * Math.cos(longitude), horizontal * Math.sin(longitude), Math.sin(latitude)]
}

/** Longitude 0 to 2π and latitude of a vector of any length. An arc sine would lose digits near the poles. */
function toAngles([x, y, z]: Vector): readonly [number, number] {
  return [wrapped(Math.atan2(y, x)), Math.atan2(z, Math.hypot(x, y))]
}

function wrapped(angle: number): number {
  const turned = angle % TAU
  return turned < 0 ? turned + TAU : turned
}

function dot(a: Vector, b: Vector): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
