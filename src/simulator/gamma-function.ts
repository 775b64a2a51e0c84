/** ln Γ(x) for x above 0, to 1e-10 (Lanczos, with the coefficients of Numerical Recipes, gammln). */
export function logGamma(x: number): number {
  let y = x
  let series = 1.000000000190015
  for (const coefficient of LANCZOS) series += coefficient / ++y
  const t = x + 5.5
  return (x + 0.5) * Math.log(t) - t + Math.log((Math.sqrt(2 * Math.PI) * series) / x)
}
const LANCZOS = [
  76.18009172947146, -86.50532032941678, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3,
  -5.395239384953e-6,
]

/** Share of a gamma distribution of the given shape (above 0) and rate 1 below `x`. */
export function gammaShareBelow(shape: number, x: number): number {
  if (x <= 0) return 0
  const scale = Math.exp(shape * Math.log(x) - x - logGamma(shape))
  if (x < shape + 1) {
    let term = 1 / shape
    let sum = term
    for (let n = shape + 1; term > sum * 1e-9; n++) {
      term *= x / n
      sum += term
    }
    return sum * scale
  }
  return 1 - scale * tailFraction(shape, x)
}

/** Lentz's continued fraction of the upper incomplete gamma function. */
function tailFraction(shape: number, x: number): number {
  let b = x + 1 - shape
  let c = 1e300
  let d = 1 / b
  let h = d
  for (let i = 1; i < 200; i++) {
    const a = i * (shape - i)
    b += 2
    d = 1 / (a * d + b)
    c = b + a / c
    h *= d * c
    if (Math.abs(d * c - 1) < 1e-9) break
  }
  return h
}
