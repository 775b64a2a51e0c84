import type { Illumination, Line } from './illumination.ts'
import { MuonTrack } from './muon.ts'
import type { Random } from './random.ts'

/**
 * Muons of the atmosphere that happen to pass, most of them too faint to trigger: down-going, of a steep spectrum, and
 * seen where they are about to stop. Their rate is set such that they bring the 5 to 25 Hz of coincident launches per
 * sensor that real sensors see (arXiv:1612.05093); the published times of last pulses and line fits agree with it, and
 * not with half or twice of it. Spectrum and directions are ours.
 */
const RATE_HZ = 45_000
const LEAST_GEV = 8
const MOST_GEV = 2000
/** Of the integral spectrum, N(> E) ∝ E^-index. */
const INDEX = 1
const LEAST_COS_ZENITH = 0.3
/** Muons start in a cylinder around the detector, m. */
const RADIUS_M = 600
const HALF_HEIGHT_M = 560

/** Light of passing muons. */
export class Background {
  readonly #random: Random
  readonly #illumination: Illumination
  readonly #track = new MuonTrack()
  readonly #line: Line = { timeNs: 0, x: 0, y: 0, z: 0, px: 0, py: 0, pz: 0 }

  constructor(random: Random, illumination: Illumination) {
    this.#random = random
    this.#illumination = illumination
  }

  /** Adds the light of the muons that start between `from` and `to`, ns. */
  addMuons(from: number, to: number): void {
    const meanGap = 1e9 / RATE_HZ
    for (let time = from; ; ) {
      time += this.#random.exponential() * meanGap
      if (time > to) return
      this.#addMuon(time)
    }
  }

  #addMuon(timeNs: number): void {
    const random = this.#random
    const line = this.#line
    const cosine = Math.sqrt(LEAST_COS_ZENITH ** 2 + (1 - LEAST_COS_ZENITH ** 2) * random.uniform())
    const sine = Math.sqrt(1 - cosine * cosine)
    const azimuth = 2 * Math.PI * random.uniform()
    line.px = sine * Math.cos(azimuth)
    line.py = sine * Math.sin(azimuth)
    line.pz = -cosine
    const radius = RADIUS_M * Math.sqrt(random.uniform())
    const angle = 2 * Math.PI * random.uniform()
    line.x = radius * Math.cos(angle)
    line.y = radius * Math.sin(angle)
    line.z = HALF_HEIGHT_M * (2 * random.uniform() - 1)
    line.timeNs = timeNs
    const energy = Math.min(MOST_GEV, LEAST_GEV * random.uniform() ** (-1 / INDEX))
    this.#track.propagate(random, energy, 0, 1100)
    this.#illumination.addTrack(line, this.#track)
  }
}
