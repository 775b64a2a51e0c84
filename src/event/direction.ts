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

/** Directions of many events as columns. Radians; all arrays [events]. */
export interface DirectionColumns {
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
}

/**
 * Opening angles between the directions of the same events, radians, 0 to π; NaN where either is unknown.
 * The formula of `angularDistance` (direction.ts) without an object per event. [events]
 */
export function openingAngles(a: DirectionColumns, b: DirectionColumns): Float64Array {
  const angles = new Float64Array(a.azimuth.length)
  for (let i = 0; i < angles.length; i++) {
    const sinA = Math.sin(a.zenith[i])
    const cosA = Math.cos(a.zenith[i])
    const sinB = Math.sin(b.zenith[i])
    const cosB = Math.cos(b.zenith[i])
    const turn = b.azimuth[i] - a.azimuth[i]
    // Cross product in the frame whose x axis lies below a: exact for small angles where arccos is not.
    const crossX = sinB * Math.sin(turn)
    const crossY = sinA * cosB - cosA * sinB * Math.cos(turn)
    const dot = sinA * sinB * Math.cos(turn) + cosA * cosB
    angles[i] = Math.atan2(Math.sqrt(crossX * crossX + crossY * crossY), dot)
  }
  return angles
}

/** Below this the von Mises-Fisher distribution is uniform to machine precision, and the formulas divide 0 by 0. */
const KAPPA_UNIFORM = 1e-9

/**
 * Probability of an opening angle of at most `angle` (radians, 0 to π) in the von Mises-Fisher distribution on the sphere:
 * directions about a mean with density ∝ exp(κ cos θ), where θ is the opening angle to it and κ ≥ 0 the concentration.
 * It is (1 − e^(−κ(1 − cos θ))) / (1 − e^(−2κ)).
 */
export function vmfProbability(angle: number, kappa: number): number {
  // 1 − cos θ without its loss of digits at small angles.
  const drop = 2 * Math.sin(angle / 2) ** 2
  if (kappa < KAPPA_UNIFORM) return drop / 2
  return Math.expm1(-kappa * drop) / Math.expm1(-2 * kappa)
}

/** Opening angle, radians, within which a share of the directions lies: the inverse of `vmfProbability`. */
export function vmfRadius(probability: number, kappa: number): number {
  const drop =
    kappa < KAPPA_UNIFORM ? 2 * probability : -Math.log1p(probability * Math.expm1(-2 * kappa)) / kappa
  return 2 * Math.asin(Math.sqrt(Math.min(1, Math.max(0, drop / 2))))
}
