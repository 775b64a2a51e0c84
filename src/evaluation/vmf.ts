/**
 * The von Mises-Fisher distribution on the sphere: directions about a mean with density ∝ exp(κ cos θ), where θ is the
 * opening angle to it and κ ≥ 0 the concentration. Angles in radians, 0 to π.
 */

/** Below this the distribution is uniform to machine precision, and the formulas divide 0 by 0. */
const KAPPA_UNIFORM = 1e-9

/** Probability of an opening angle of at most `angle`: (1 − e^(−κ(1 − cos θ))) / (1 − e^(−2κ)). */
export function vmfProbability(angle: number, kappa: number): number {
  // 1 − cos θ without its loss of digits at small angles.
  const drop = 2 * Math.sin(angle / 2) ** 2
  if (kappa < KAPPA_UNIFORM) return drop / 2
  return Math.expm1(-kappa * drop) / Math.expm1(-2 * kappa)
}

/** Opening angle within which a share of the directions lies: the inverse of `vmfProbability`. */
export function vmfRadius(probability: number, kappa: number): number {
  const drop =
    kappa < KAPPA_UNIFORM ? 2 * probability : -Math.log1p(probability * Math.expm1(-2 * kappa)) / kappa
  return 2 * Math.asin(Math.sqrt(Math.min(1, Math.max(0, drop / 2))))
}
