import { ICE_LIGHT_SPEED } from './optics.ts'
import type { Random } from './random.ts'

/**
 * Delay of scattered light behind the direct path: a gamma distribution (the Pandel function), model H2.
 * Source: icetray rpdf and ipdf; astro-ph/0407044.
 */
const TAU_NS = 556.7
const LAMBDA_M = 33.29
/** Mean effective scattering length of the ice that the model was fitted in, m (harmonic mean over the detector). */
const MEAN_SCATTERING_M = 23.9

/** Distance that the photon has effectively to scatter over, m. `cosEta`: vertical part of its direction, 1 moving up. */
export function effectiveDistance(d: number, cosEta: number): number {
  return 0.8395 * d + 3.094 - 3.946 * cosEta + 4.636 * cosEta * cosEta
}

/** Shape of the gamma distribution. `s`: inverse effective scattering length along the path, 1/m. */
export function delayShape(effectiveM: number, s: number): number {
  return (effectiveM * s * MEAN_SCATTERING_M) / LAMBDA_M
}

/** Rate of the gamma distribution, 1/ns. `a`: inverse absorption length along the path, 1/m. */
export function delayRate(a: number): number {
  return 1 / TAU_NS + ICE_LIGHT_SPEED * a
}

/** One photon's delay, ns. */
export function drawDelay(random: Random, shape: number, rate: number): number {
  return random.gamma(shape) / rate
}
