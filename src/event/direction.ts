/** Where a particle came from, in detector coordinates. */
export interface Direction {
  /** Radians, 0 to 2π, anticlockwise from +x. */
  readonly azimuth: number
  /** Radians, 0 (straight down-going) to π. */
  readonly zenith: number
}

const TAU = 2 * Math.PI

/** Unit vector towards where the particle came from: the particle travels along its negative. */
export function toSourceVector(azimuth: number, zenith: number): [number, number, number] {
  const sinZenith = Math.sin(zenith)
  return [Math.cos(azimuth) * sinZenith, Math.sin(azimuth) * sinZenith, Math.cos(zenith)]
}

/** Direction of a vector of any length above 0 that points to where the particle came from. */
export function fromSourceVector(x: number, y: number, z: number): Direction {
  // atan2 keeps full precision near the poles, where acos(z) loses half the digits.
  const azimuth = Math.atan2(y, x)
  return { azimuth: azimuth < 0 ? (azimuth + TAU) % TAU : azimuth, zenith: Math.atan2(Math.hypot(x, y), z) }
}

/**
 * Opening angle between two directions, radians, 0 to π; the measure of the Kaggle challenge.
 * Computed by atan2 of cross and dot product, exact for small angles where arccos is not.
 */
export function angularDistance(a: Direction, b: Direction): number {
  const [ax, ay, az] = toSourceVector(a.azimuth, a.zenith)
  const [bx, by, bz] = toSourceVector(b.azimuth, b.zenith)
  const cross = Math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
  return Math.atan2(cross, ax * bx + ay * by + az * bz)
}
