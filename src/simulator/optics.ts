import { absorptionLength, scatteringLength } from '../event/ice.ts'

/** Metres per ns. */
export const LIGHT_SPEED = 0.299792458
/** Refractive indices of the ice at 400 nm: phase and group. Source: icetray phys-services. */
const PHASE_INDEX = 1.3195
const GROUP_INDEX = 1.35634
/** Speed of light in the ice (group velocity), metres per ns. */
export const ICE_LIGHT_SPEED = LIGHT_SPEED / GROUP_INDEX

/** The Cherenkov angle, 40.72 degrees: cos θ = 1 / n. */
export const CHERENKOV_COS = 1 / PHASE_INDEX
export const CHERENKOV_SIN = Math.sqrt(1 - CHERENKOV_COS * CHERENKOV_COS)
/** A photon seen at distance d from a track left it this many d before the closest approach. */
export const CHERENKOV_COT = CHERENKOV_COS / CHERENKOV_SIN
/** Direct light arrives (l + 0.9173 d) / c after the muon passed l = 0. */
export const TRACK_DELAY_PER_M = GROUP_INDEX / CHERENKOV_SIN - CHERENKOV_COT

/**
 * The ice in layers of one metre, from `ICE_BOTTOM_Z` up; the measured table ends near the detector's edges, beyond it
 * the ice is taken as its last layer. All of it in inverse metres, because inverse lengths are what averages along a path.
 */
export const ICE_BOTTOM_Z = -900
const LAYERS = 1800

export const inverseScattering = new Float64Array(LAYERS)
export const inverseAbsorption = new Float64Array(LAYERS)
/** Sum of the layers below each. [layers + 1] */
const scatteringBelow = new Float64Array(LAYERS + 1)
const absorptionBelow = new Float64Array(LAYERS + 1)

for (let i = 0; i < LAYERS; i++) {
  const z = ICE_BOTTOM_Z + i + 0.5
  inverseScattering[i] = 1 / scatteringLength(z)
  inverseAbsorption[i] = 1 / absorptionLength(z)
  scatteringBelow[i + 1] = scatteringBelow[i] + inverseScattering[i]
  absorptionBelow[i + 1] = absorptionBelow[i] + inverseAbsorption[i]
}

/** Layer of a height; heights beyond the layers get the nearest. */
export function layerOf(z: number): number {
  const layer = (z - ICE_BOTTOM_Z) | 0
  return layer < 0 ? 0 : layer >= LAYERS ? LAYERS - 1 : layer
}

/** Mean of 1 / (effective scattering length) on a straight path between two layers, per metre. */
export function pathScattering(layer: number, other: number): number {
  const between = other - layer
  if (between > -3 && between < 3) return inverseScattering[layer]
  return (scatteringBelow[other] - scatteringBelow[layer]) / between
}

/** Mean of 1 / (absorption length) on a straight path between two layers, per metre. */
export function pathAbsorption(layer: number, other: number): number {
  const between = other - layer
  if (between > -3 && between < 3) return inverseAbsorption[layer]
  return (absorptionBelow[other] - absorptionBelow[layer]) / between
}
