import type { Illumination, Line } from './illumination.ts'
import { DETECTOR_HALF_HEIGHT_M, DETECTOR_RADIUS_M } from './interaction.ts'
import { IONISATION_GEV_PER_M, MuonTrack, RADIATIVE_PER_M } from './muon.ts'
import type { Photons } from './photons.ts'
import type { Random } from './random.ts'

/** Energies are those on a level this high, just above the highest sensors, m; it is that far below the surface. */
const TOP_Z_M = 560
const TOP_DEPTH_M = 1948.07 - TOP_Z_M
/** Lines cross an ellipse that faces them at the detector's centre and is so much wider than the detector's outline, m. */
const MARGIN_M = 70
const SEMI_AXIS_M = DETECTOR_RADIUS_M + MARGIN_M
/** Muons end at the latest this far behind the ellipse, m. */
const END_M = 1000

const LEAST_GEV = 30
const MOST_GEV = 1e5
const ENERGY_BINS = 128
const LEAST_COSINE = 0.2
const COSINE_BINS = 64

/**
 * Muons of a bundle: P(m) ∝ m^-3 and some ten metres apart on average, about as published for this depth
 * (hep-ph/0507228, arXiv:0802.0562); that neither depends on zenith or energy is a simplification of ours.
 */
const MULTIPLICITY_POWER = 3
const MULTIPLICITY_MAX = 100
const SPREAD_M = 6

/** Muons per cm², s, sr and GeV at the surface. Source: Gaisser's formula, Review of Particle Physics, Cosmic rays. */
function surfaceFlux(energyGev: number, cosine: number): number {
  const pions = 1 / (1 + (1.1 * energyGev * cosine) / 115)
  const kaons = 0.054 / (1 + (1.1 * energyGev * cosine) / 850)
  return 0.14 * energyGev ** -2.7 * (pions + kaons)
}

/** The same under `depthM` of ice on the muon's way, by the mean energy loss. */
function fluxBelow(energyGev: number, cosine: number, depthM: number): number {
  const critical = IONISATION_GEV_PER_M / RADIATIVE_PER_M
  const growth = Math.exp(RADIATIVE_PER_M * depthM)
  return growth * surfaceFlux((energyGev + critical) * growth - critical, cosine)
}

const energyOf = (bin: number) => LEAST_GEV * (MOST_GEV / LEAST_GEV) ** (bin / ENERGY_BINS)
const cosineOf = (bin: number) => LEAST_COSINE + ((1 - LEAST_COSINE) * (bin + 0.5)) / COSINE_BINS

/** The ellipse's other half axis, which is the wider the more upright the detector's side is to the line, m. */
const otherSemiAxisOf = (cosine: number) =>
  DETECTOR_HALF_HEIGHT_M * Math.sqrt(1 - cosine * cosine) + DETECTOR_RADIUS_M * cosine + MARGIN_M

/** Share of the muons of a cosine with less energy. [cosines][energies + 1] */
const energyShares = Array.from({ length: COSINE_BINS }, () => new Float64Array(ENERGY_BINS + 1))
/** Muons per second through the ellipse, of all cosines below. [cosines + 1] */
const ratesBelow = new Float64Array(COSINE_BINS + 1)

for (let c = 0; c < COSINE_BINS; c++) {
  const shares = energyShares[c]
  for (let e = 0; e < ENERGY_BINS; e++) {
    const energy = energyOf(e + 0.5)
    const flux = fluxBelow(energy, cosineOf(c), TOP_DEPTH_M / cosineOf(c))
    shares[e + 1] = shares[e] + flux * (energyOf(e + 1) - energyOf(e))
  }
  const total = shares[ENERGY_BINS]
  const solidAngle = (2 * Math.PI * (1 - LEAST_COSINE)) / COSINE_BINS
  const area = Math.PI * SEMI_AXIS_M * otherSemiAxisOf(cosineOf(c)) * 1e4
  ratesBelow[c + 1] = ratesBelow[c] + total * solidAngle * area
  for (let e = 0; e <= ENERGY_BINS; e++) shares[e] /= total
}

const multiplicities = Float64Array.from(
  { length: MULTIPLICITY_MAX },
  (_, i) => (i + 1) ** -MULTIPLICITY_POWER,
)
const multiplicityTotal = multiplicities.reduce((sum, value) => sum + value)
const meanMultiplicity = multiplicities.reduce((sum, value, i) => sum + value * (i + 1)) / multiplicityTotal

/** Bundles per second through the ellipse. */
export const BUNDLES_HZ: number = ratesBelow[COSINE_BINS] / meanMultiplicity

/** Bundles of muons that cosmic rays make in the atmosphere, as they come down into the detector. */
export class Atmosphere {
  readonly #random: Random
  readonly #illumination: Illumination
  readonly #photons: Photons
  readonly #track = new MuonTrack()
  readonly #line: Line = { timeNs: 0, x: 0, y: 0, z: 0, px: 0, py: 0, pz: 0 }
  /** Of the bundle drawn last: where it came from, radians; its muons; the largest energy on entering, GeV. */
  azimuth = 0
  zenith = 0
  muons = 0
  energyGev = 0

  /** Muons so far that gave at least one photo-electron; may be set back. */
  visible = 0

  constructor(random: Random, illumination: Illumination, photons: Photons) {
    this.#random = random
    this.#photons = photons
    this.#illumination = illumination
  }

  /** Draws a bundle and adds its light. It passes the detector's centre at `timeNs`. */
  addBundle(timeNs: number): void {
    const cosines = this.#drawDirection()
    const line = this.#line
    line.timeNs = timeNs
    const radius = Math.sqrt(this.#random.uniform())
    const angle = 2 * Math.PI * this.#random.uniform()
    const u = SEMI_AXIS_M * radius * Math.cos(angle)
    const v = otherSemiAxisOf(-line.pz) * radius * Math.sin(angle)
    this.muons = this.#drawMultiplicity()
    this.energyGev = 0
    this.#addMuon(u, v, cosines)
    for (let i = 1; i < this.muons; i++) {
      const apart = SPREAD_M * (this.#random.exponential() + this.#random.exponential())
      const around = 2 * Math.PI * this.#random.uniform()
      this.#addMuon(u + apart * Math.cos(around), v + apart * Math.sin(around), cosines)
    }
  }

  /** Adds the light of the bundles that pass between `from` and `to`, ns. */
  addBundles(from: number, to: number): void {
    const meanGap = 1e9 / BUNDLES_HZ
    for (let time = from; ; ) {
      time += this.#random.exponential() * meanGap
      if (time > to) return
      this.addBundle(time)
    }
  }

  /** Bin of the cosine. */
  #drawDirection(): number {
    const wanted = this.#random.uniform() * ratesBelow[COSINE_BINS]
    let bin = COSINE_BINS - 1
    while (ratesBelow[bin] > wanted) bin--
    const cosine = cosineOf(bin - 0.5 + this.#random.uniform())
    const sine = Math.sqrt(Math.max(0, 1 - cosine * cosine))
    this.azimuth = 2 * Math.PI * this.#random.uniform()
    this.zenith = Math.acos(Math.min(1, cosine))
    this.#line.px = -sine * Math.cos(this.azimuth)
    this.#line.py = -sine * Math.sin(this.azimuth)
    this.#line.pz = -cosine
    return bin
  }

  #drawMultiplicity(): number {
    let left = this.#random.uniform() * multiplicityTotal
    for (let i = 0; i < MULTIPLICITY_MAX; i++) {
      left -= multiplicities[i]
      if (left < 0) return i + 1
    }
    return 1
  }

  /** A muon through the point (u, v) of the ellipse; u is level. */
  #addMuon(u: number, v: number, cosines: number): void {
    const line = this.#line
    const across = Math.hypot(line.px, line.py)
    const ex = across > 1e-6 ? -line.py / across : 1
    const ey = across > 1e-6 ? line.px / across : 0
    line.x = u * ex - v * line.pz * ey
    line.y = u * ey + v * line.pz * ex
    line.z = v * (line.px * ey - line.py * ex)
    const energy = this.#drawEnergy(cosines)
    if (energy > this.energyGev) this.energyGev = energy
    const track = this.#track
    track.propagate(this.#random, energy, (line.z - TOP_Z_M) / -line.pz, END_M)
    if (track.steps === 0) return
    const before = this.#photons.count
    this.#illumination.addTrack(line, track)
    for (let i = 0; i < track.losses; i++)
      this.#illumination.addShower(line, track.lossAt[i], track.lossGev[i])
    if (this.#photons.count > before) this.visible++
  }

  #drawEnergy(cosines: number): number {
    const shares = energyShares[cosines]
    const u = this.#random.uniform()
    let low = 0
    let high = ENERGY_BINS
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (shares[middle] <= u) low = middle
      else high = middle
    }
    return energyOf(low + (u - shares[low]) / (shares[high] - shares[low]))
  }
}
