import { bareMuonLight, CASCADE_METRES_PER_GEV } from './light.ts'
import type { Random } from './random.ts'

/**
 * Mean energy loss dE/dx = a + b E in ice. Source: mue/muex (icetray): 0.26 GeV/mwe and 3.6e-4 /mwe at 0.9216 g/cm³.
 */
export const IONISATION_GEV_PER_M = 0.2396
export const RADIATIVE_PER_M = 3.32e-4
/**
 * Half of the radiative losses (bremsstrahlung and nuclear interactions) are drawn one by one with dN/dv ∝ 1/v in the lost
 * fraction v; the other half (pair production, whose single losses are small) is spread along the track. Shares: Groom,
 * Mokhov and Striganov 2001, doi 10.1006/adnd.2001.0861; the form in v is a simplification of ours.
 */
const HARD_SHARE = 0.5
const SMALLEST_FRACTION = 2e-3
const HARD_PER_M = HARD_SHARE * RADIATIVE_PER_M * Math.log(1 / SMALLEST_FRACTION)
const SOFT_PER_M = (1 - HARD_SHARE) * RADIATIVE_PER_M
/** A muon of less gives next to no more light. */
const STOPPED_GEV = 0.3
/** Losses below are too dim to be followed on their own. */
const SMALLEST_LOSS_GEV = 1

/** Length of a step, m. */
export const STEP_M = 20
const STEPS_MAX = 200

/** Light along a muon's path, and the places where it lost much at once. Used again for every muon. */
export class MuonTrack {
  /** Where the light begins, m along the track. */
  start = 0
  steps = 0
  /** Largest light of a step, bare-muon metres per metre. */
  brightest = 0
  /** Bare-muon metres of light given off before the end of each step. [steps + 1] */
  readonly lightBefore: Float64Array = new Float64Array(STEPS_MAX + 1)
  losses = 0
  /** Metres along the track. [losses] */
  readonly lossAt: Float64Array = new Float64Array(STEPS_MAX)
  /** [losses] */
  readonly lossGev: Float64Array = new Float64Array(STEPS_MAX)

  /** Follows a muon of `energyGev` from `start` until it stops or reaches `end` (both m along the track, 4 km at most). */
  propagate(random: Random, energyGev: number, start: number, end: number): void {
    this.start = start
    this.steps = 0
    this.losses = 0
    this.brightest = 0
    let energy = energyGev
    let nextLoss = start + random.exponential() / HARD_PER_M
    for (let l = start; l < end && energy > STOPPED_GEV && this.steps < STEPS_MAX; l += STEP_M) {
      const loss = (IONISATION_GEV_PER_M + SOFT_PER_M * energy) * STEP_M
      const lit = loss < energy ? 1 : energy / loss
      const light = bareMuonLight(energy) + CASCADE_METRES_PER_GEV * SOFT_PER_M * energy
      this.lightBefore[this.steps + 1] = this.lightBefore[this.steps] + light * lit * STEP_M
      if (light > this.brightest) this.brightest = light
      this.steps++
      energy -= loss
      while (nextLoss < l + STEP_M && energy > STOPPED_GEV) {
        energy -= this.#loseAt(nextLoss, energy * SMALLEST_FRACTION ** random.uniform())
        nextLoss += random.exponential() / HARD_PER_M
      }
    }
  }

  /** Mean light between `from` and `to` (m along the track), bare-muon metres per metre. */
  meanLight(from: number, to: number): number {
    return (this.#lightUpTo(to) - this.#lightUpTo(from)) / (to - from)
  }

  #lightUpTo(l: number): number {
    const at = (l - this.start) / STEP_M
    if (at <= 0) return 0
    if (at >= this.steps) return this.lightBefore[this.steps]
    const i = at | 0
    return this.lightBefore[i] + (at - i) * (this.lightBefore[i + 1] - this.lightBefore[i])
  }

  #loseAt(l: number, gev: number): number {
    if (gev > SMALLEST_LOSS_GEV && this.losses < STEPS_MAX) {
      this.lossAt[this.losses] = l
      this.lossGev[this.losses] = gev
      this.losses++
    }
    return gev
  }
}
