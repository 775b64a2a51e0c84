import { CHERENKOV_SIN } from './optics.ts'

/**
 * Photons that a bare muon gives off per metre, weighted with the sensor's acceptance of their wavelengths.
 * Source: 2450.08 per metre, ppc (icetray).
 */
const PHOTONS_PER_M = 2450.08
/** Disc that a sensor shows to the light, m²: radius 0.1651 m. Source: ppc. */
const SENSOR_AREA_M2 = 0.08563
/** Shadowing and coupling, 0.75 × 0.9. Source: muex (icetray). */
const SENSOR_EFFICIENCY = 0.675
/** Photo-electrons per (photon per m² per photon per metre). */
export const PHOTOELECTRONS_PER_FLUX = PHOTONS_PER_M * SENSOR_AREA_M2 * SENSOR_EFFICIENCY

/** Strength and range of the closed form of the flux. Source: muex. */
const FLUX_SCALE = 1.26
const PROPAGATION_SHRINK = 1.07
/** Closer than this a sensor is inside the light's near field and the closed form would diverge. */
const NEAREST_M = 1

/** Distance over which diffuse light falls by e, m. `s` and `a`: inverse effective scattering and absorption lengths. */
export function propagationLength(s: number, a: number): number {
  return 1 / (PROPAGATION_SHRINK * Math.sqrt(3 * s * a))
}

/**
 * Photons per m² at distance `d` (m) from a track that gives off one photon per metre. Source: muex; its form goes from
 * the direct Cherenkov cone, 1/d, to diffusion, exp(-d / Lp) / sqrt(d).
 */
export function trackFlux(d: number, s: number, a: number): number {
  const distance = Math.max(d, NEAREST_M)
  const lp = propagationLength(s, a)
  const lc = expOfRatio(a / s) / (3 * s * CHERENKOV_SIN)
  const lmu = (lc * lc * 2) / (Math.PI * lp)
  const diffuse = 2 * Math.PI * CHERENKOV_SIN * Math.sqrt(lmu * distance) * tanh(Math.sqrt(distance / lmu))
  return (FLUX_SCALE * Math.exp(-distance / lp)) / diffuse
}

/** Photons per m² at distance `d` (m) from a point that gives off one photon. Source: muex. */
export function cascadeFlux(d: number, s: number, a: number): number {
  const distance = Math.max(d, NEAREST_M)
  const lc = expOfRatio(a / s) / (3 * s)
  const diffuse = 4 * Math.PI * lc * distance * tanh(distance / lc)
  return (FLUX_SCALE * Math.exp(-distance / propagationLength(s, a))) / diffuse
}

/** e^x to a thousandth: scattering over absorption length is 0.25 to 0.4 in all of the ice. */
function expOfRatio(x: number): number {
  return 1 + x * (1 + x * (0.5 + x / 6))
}

/** Several times faster than `Math.tanh`, which is exact where none of this is. */
function tanh(x: number): number {
  return x > 3.5 ? 1 : 1 - 2 / (Math.exp(2 * x) + 1)
}

/** Light of a muon's track, its own and of the soft secondaries below 0.5 GeV, in bare-muon metres per metre. Source: ppc. */
export function bareMuonLight(energyGev: number): number {
  return 1 + Math.max(0, 0.188 + 0.0206 * Math.log(energyGev))
}

/** Bare-muon metres of light of an electromagnetic cascade, per GeV. Source: arXiv:1210.5140, ppc; ice of 0.9216 g/cm³. */
export const CASCADE_METRES_PER_GEV = (5.321 * 0.91) / 0.9216

/** Light of a hadronic cascade relative to an electromagnetic one of its energy. Source: arXiv:1210.5140 (pi+), ppc. */
export function hadronicShare(energyGev: number): number {
  if (energyGev < 1) return 0.5
  return 1 - (energyGev / 0.188) ** -0.1627 * (1 - 0.3097)
}

/** Relative spread of `hadronicShare` from cascade to cascade; from 3 GeV up. Source: arXiv:1210.5140, ppc. */
export function hadronicSpread(energyGev: number): number {
  return 0.959 * Math.log(Math.max(3, energyGev)) ** -1.356
}

/** Angular acceptance with the refrozen hole's ice ("h2-50cm"), coefficients of cos η ascending. Source: icetray ice-models. */
const ACCEPTANCE = [
  0.32813, 0.63899, 0.20049, -1.225, -0.1447, 4.1695, 0.76898, -5.869, -2.0939, 2.3834, 1.0435,
]
/** The same without a hole ("nominal"). */
const NOMINAL_ACCEPTANCE = [
  0.26266, 0.47659, 0.1548, -0.14588, 0.17316, 1.307, 0.44441, -2.3538, -1.3564, 1.2098, 0.81569,
]
const ANGLE_BINS = 256

/** Acceptance by cosine of the photon's direction with the vertical (1: moving up, head-on), mean 1 over the sphere. */
export const acceptance: Float64Array = tabulate(ACCEPTANCE)
export const nominalAcceptance: Float64Array = tabulate(NOMINAL_ACCEPTANCE)

/** Bin of `acceptance` for a cosine, -1 to 1 (rounding beyond is forgiven). */
export function angleBin(cosine: number): number {
  const bin = ((cosine + 1) * (ANGLE_BINS / 2)) | 0
  return bin < 0 ? 0 : bin >= ANGLE_BINS ? ANGLE_BINS - 1 : bin
}

function tabulate(coefficients: readonly number[]): Float64Array {
  const table = Float64Array.from({ length: ANGLE_BINS }, (_, bin) => {
    const cosine = ((bin + 0.5) * 2) / ANGLE_BINS - 1
    return Math.max(
      0,
      coefficients.reduceRight((sum, coefficient) => sum * cosine + coefficient, 0),
    )
  })
  const mean = table.reduce((sum, value) => sum + value, 0) / ANGLE_BINS
  return table.map((value) => value / mean)
}
