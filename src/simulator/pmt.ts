import type { Random } from './random.ts'

/** Smallest charge that starts a recording, photo-electrons. Source: arXiv:1612.05093. */
export const DISCRIMINATOR_PE = 0.25
/** Smallest charge that unfolding a waveform brings out, photo-electrons; fits the least charges of real events. */
const SMALLEST_PE = 0.075
const LARGEST_PE = 3

/** Density of the charge of one photo-electron. Source: DOMLauncher's PMTResponseSimulator (icetray). */
function chargeDensity(q: number): number {
  return (
    6.9 * Math.exp(-q / 0.027) +
    0.5488 * Math.exp(-q / 0.383) +
    0.753 * Math.exp(-0.5 * ((q - 1.00376) / 0.32) ** 2)
  )
}

const QUANTILES = 2048
const chargeQuantiles = invertDensity(SMALLEST_PE)
const noiseQuantiles = invertDensity(DISCRIMINATOR_PE)

const jitterQuantiles = Float64Array.from({ length: QUANTILES + 1 }, (_, i) => {
  // The distribution has no ends; the table stops a quarter of a step before them.
  const p = Math.min(QUANTILES - 0.25, Math.max(0.25, i)) / QUANTILES
  return 0.153 - 1.918 * Math.log(-Math.log(p))
})

/** Share of photo-electrons whose charge can be told from the base line. */
export const VISIBLE_SHARE: number = integrateDensity(SMALLEST_PE) / integrateDensity(0)

/** Charge of one visible photo-electron. */
export function drawCharge(random: Random): number {
  return interpolate(chargeQuantiles, random.uniform())
}

/** Charge of one photo-electron that started a recording by itself. */
export function drawLaunchingCharge(random: Random): number {
  return interpolate(noiseQuantiles, random.uniform())
}

/** Scatter of the transit time, ns: a Gumbel distribution, tabulated. Source: PMTResponseSimulator. */
export function drawJitter(random: Random): number {
  return interpolate(jitterQuantiles, random.uniform())
}

/** Chances per photo-electron. Source: PMTResponseSimulator. */
const PREPULSE_CHANCE = 0.003
const LATE_CHANCE = 0.035
export const AFTERPULSE_CHANCE = 0.0593

/** How much later (or, prepulsing, earlier) than its light a photo-electron is seen, ns; mostly 0. */
export function drawMisplacement(random: Random): number {
  const u = random.uniform()
  if (u > LATE_CHANCE + PREPULSE_CHANCE) return 0
  if (u > LATE_CHANCE) return -31.8
  // Elastic and inelastic backscattering off the first dynode: a shoulder from 25 ns and a peak at 71 ns.
  return u < LATE_CHANCE / 2 ? 25 + 40 * random.uniform() : 71 + 6 * random.normal()
}

/** Delay of an afterpulse, ns: ions travel 0.3 to 11 µs, most of them about 6 µs. Source: PMTResponseSimulator. */
export function drawAfterpulseDelay(random: Random): number {
  if (random.uniform() < 0.3) return 300 + 2700 * random.uniform()
  const delay = 6000 + 2000 * random.normal()
  return Math.min(11_000, Math.max(300, delay))
}

/**
 * Charge that a pulse of `q` photo-electrons is seen with: the tube's output saturates logarithmically from some 94
 * photo-electrons per ns on (150 mA at a gain of 1e7, PMTResponseSimulator). The scale belongs to a pulse of some ns and
 * is chosen such that the largest of 200,000 events comes near the published 2762 photo-electrons.
 */
export function saturate(q: number): number {
  return SATURATION_PE * Math.log1p(q / SATURATION_PE)
}
const SATURATION_PE = 240

function integrateDensity(from: number): number {
  const steps = 20_000
  const width = (LARGEST_PE - from) / steps
  let sum = 0
  for (let i = 0; i < steps; i++) sum += chargeDensity(from + (i + 0.5) * width)
  return sum * width
}

/** Charges at equally spaced cumulative probabilities, of the density cut off below `from`. */
function invertDensity(from: number): Float64Array {
  const total = integrateDensity(from)
  const steps = 20_000
  const width = (LARGEST_PE - from) / steps
  const quantiles = new Float64Array(QUANTILES + 1).fill(LARGEST_PE)
  let below = 0
  let next = 0
  for (let i = 0; i < steps; i++) {
    while (next <= QUANTILES && next / QUANTILES <= below / total) quantiles[next++] = from + i * width
    below += chargeDensity(from + (i + 0.5) * width) * width
  }
  return quantiles
}

function interpolate(quantiles: Float64Array, u: number): number {
  const at = u * QUANTILES
  const i = at | 0
  return quantiles[i] + (at - i) * (quantiles[i + 1] - quantiles[i])
}
