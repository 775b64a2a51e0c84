import type { DirectionRad } from '../../src/display/messages.ts'

/** Julian date of 2000-01-01 12:00 and of the Unix epoch, days. */
const J2000 = 2_451_545
const UNIX_EPOCH = 2_440_587.5
const DAY_MS = 86_400_000
const TAU = 2 * Math.PI

export interface Equatorial {
  /** Radians, 0 to 2π. */
  readonly rightAscension: number
  /** Radians, -π/2 to π/2. */
  readonly declination: number
}

/**
 * Equatorial coordinates, of the date, of where a particle came from, seen at the South Pole: zenith is south, and the
 * detector's +x axis points along 90° east, +y along the meridian of Greenwich. UT1 is taken as UTC (within 0.004°).
 * Sidereal time: IAU 1982, linear part. Source of the axes: arXiv:1612.05093.
 */
export function toEquatorial({ azimuth, zenith }: DirectionRad, utcMs: number): Equatorial {
  const days = utcMs / DAY_MS + UNIX_EPOCH - J2000
  const siderealDegrees = 280.46061837 + 360.98564736629 * days
  const longitude = Math.PI / 2 - azimuth
  return {
    rightAscension: ((((siderealDegrees * Math.PI) / 180 + longitude) % TAU) + TAU) % TAU,
    declination: zenith - Math.PI / 2,
  }
}
