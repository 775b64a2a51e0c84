/**
 * Radius, radians, 0 to π, of the circle round a direction that holds it with probability `share`, for the von
 * Mises-Fisher distribution on the sphere of concentration `kappa` (0: anywhere). Exact from kappa 0 to any kappa:
 * P(radius) = (1 - e^(-kappa (1 - cos radius))) / (1 - e^(-2 kappa)), solved for the radius.
 */
export function containmentRadius(kappa: number, share: number): number {
  const oneLessCos = kappa < 1e-9 ? 2 * share : -Math.log1p(share * Math.expm1(-2 * kappa)) / kappa
  // 2 arcsin √(h/2) keeps the digits of small angles, which arccos(1 - h) loses.
  return 2 * Math.asin(Math.sqrt(Math.min(1, oneLessCos / 2)))
}
