import { toSourceVector } from '../event/direction.ts'
import type { Topology as AnyTopology } from '../event/event-batch.ts'
import type { Illumination, Line } from './illumination.ts'
import { hadronicShare, hadronicSpread } from './light.ts'
import { MuonTrack } from './muon.ts'
import type { Random } from './random.ts'

/** What a neutrino left in the ice. */
export type Topology = Exclude<AnyTopology, 'unknown'>

/**
 * Composition of the triggered events: ours. It is not published for the challenge's events. Given the share that muons of
 * the atmosphere trigger, these are set such that the published errors of the line fit come out.
 */
const THROUGH_GOING_SHARE = 0.42
const STARTING_SHARE = 0.1
/**
 * Share of the events that muons of the atmosphere triggered: two of the seven challenge events whose truth is public (41 and
 * 72) hold the light of such muons and none that fits the neutrino. docs/simulator.md says what else agrees with it.
 */
const BESIDE_MUONS_SHARE = 0.25

/** Zenith density (1 + k cos θ) / 2 in cos θ: k from the published quartiles 1.005, 1.527 and 2.055. */
const DOWN_GOING_EXCESS = 0.088

export interface Neutrino {
  readonly topology: Topology
  /** The detector is triggered by muons of the atmosphere, and the neutrino's light comes while they are read out. */
  readonly isBesideMuons: boolean
  /** Where it came from, radians. */
  readonly azimuth: number
  readonly zenith: number
}

/** Draws what is fixed about an event before it is known whether it triggers. */
export function drawNeutrino(random: Random): Neutrino {
  const u = random.uniform()
  const topology =
    u < THROUGH_GOING_SHARE
      ? 'through-going track'
      : u < THROUGH_GOING_SHARE + STARTING_SHARE
        ? 'starting track'
        : 'cascade'
  const k = DOWN_GOING_EXCESS
  // Solves (c + 1) / 2 + k (c² - 1) / 4 = v for the cosine.
  const v = random.uniform()
  const cosine = (Math.sqrt(1 - k * (2 - k - 4 * v)) - 1) / k
  return {
    topology,
    isBesideMuons: random.uniform() < BESIDE_MUONS_SHARE,
    azimuth: 2 * Math.PI * random.uniform(),
    zenith: Math.acos(Math.max(-1, Math.min(1, cosine))),
  }
}

/** Radius and half height of the instrumented volume, m. Source: arXiv:1612.05093. */
export const DETECTOR_RADIUS_M = 560
export const DETECTOR_HALF_HEIGHT_M = 505
/** Energies of attempts: dN/dE ∝ E^-index from least to most. */
interface Spectrum {
  readonly leastGev: number
  readonly mostGev: number
  readonly index: number
}
/**
 * The challenge's energies are not published either. A soft spectrum makes the many faint events and a hard one the few
 * that are very bright; indices, ends and share are set such that the published pulses per event come out.
 */
const SOFT: Spectrum = { leastGev: 48, mostGev: 1e7, index: 2.5 }
const HARD: Spectrum = { leastGev: 2.5e3, mostGev: 2e7, index: 1.15 }
const HARD_SHARE = 0.0188

/** Muons of through-going tracks begin this far before the detector's centre, m. */
const THROUGH_GOING_START_M = -900

/** Draws one attempt after another at energy and place, and lights the detector with it. */
export class Interactions {
  readonly #random: Random
  readonly #illumination: Illumination
  readonly #track = new MuonTrack()
  readonly #line: Line = { timeNs: 0, x: 0, y: 0, z: 0, px: 0, py: 0, pz: 0 }
  /** Of the last attempt. NaN: no hadrons. */
  energyGev = 0
  inelasticity = Number.NaN
  /** Of the neutrino's muon where it begins; 0 without one. */
  muonGev = 0
  /** Where the light begins, m. */
  readonly vertex = { x: 0, y: 0, z: 0 }

  constructor(random: Random, illumination: Illumination) {
    this.#random = random
    this.#illumination = illumination
  }

  /** One try of the neutrino to be seen: photo-electrons for an energy and a place drawn at random. */
  attempt(neutrino: Neutrino): void {
    this.inelasticity = Number.NaN
    this.muonGev = 0
    const [x, y, z] = toSourceVector(neutrino.azimuth, neutrino.zenith)
    this.#line.px = -x
    this.#line.py = -y
    this.#line.pz = -z
    const energy = drawPower(this.#random, this.#random.uniform() < HARD_SHARE ? HARD : SOFT)
    this.energyGev = energy
    switch (neutrino.topology) {
      case 'cascade':
        this.#cascade(energy)
        break
      case 'starting track':
        this.#startingTrack(energy)
        break
      case 'through-going track':
        this.#throughGoingTrack(energy)
        break
    }
  }

  #throughGoingTrack(energy: number): void {
    this.#placeBeside(margin(energy))
    this.#lightMuon(energy, THROUGH_GOING_START_M)
  }

  #startingTrack(energy: number): void {
    this.#placeInside(margin(energy) / 2)
    this.inelasticity = this.#drawInelasticity(energy)
    this.#lightHadrons(energy * this.inelasticity)
    this.#lightMuon(energy * (1 - this.inelasticity), 0)
  }

  #cascade(energy: number): void {
    this.#placeInside(margin(energy))
    this.inelasticity = this.#drawInelasticity(energy)
    this.#lightHadrons(energy * this.inelasticity)
    this.#setVertex(0)
    // Three in ten scatter by the neutral current, and the neutrino takes the rest away. Source: arXiv:hep-ph/9512364.
    if (this.#random.uniform() < 0.3) return
    this.#illumination.addShower(this.#line, 0, energy * (1 - this.inelasticity))
  }

  #lightHadrons(energyGev: number): void {
    const spread = 1 + hadronicSpread(energyGev) * this.#random.normal()
    const share = hadronicShare(energyGev) * Math.max(0.1, Math.min(1.9, spread))
    this.#illumination.addHadrons(this.#line, 0, { energyGev, share })
  }

  #lightMuon(energy: number, start: number): void {
    const track = this.#track
    this.muonGev = energy
    this.#setVertex(start)
    track.propagate(this.#random, energy, start, 1100)
    this.#illumination.addTrack(this.#line, track)
    for (let i = 0; i < track.losses; i++) {
      this.#illumination.addShower(this.#line, track.lossAt[i], track.lossGev[i])
    }
  }

  #setVertex(l: number): void {
    const { x, y, z, px, py, pz } = this.#line
    this.vertex.x = x + l * px
    this.vertex.y = y + l * py
    this.vertex.z = z + l * pz
  }

  /**
   * Fraction of the energy that goes into hadrons. Its mean falls from a half at 100 GeV to a quarter at PeV, about as
   * calculated in arXiv:hep-ph/9512364; the power law that does so is ours.
   */
  #drawInelasticity(energy: number): number {
    const power = Math.max(1, Math.min(3, 1 + 0.5 * Math.log10(energy / 100)))
    return this.#random.uniform() ** power
  }

  /** A point in a cylinder around the detector, `marginM` wider on all sides. */
  #placeInside(marginM: number): void {
    const radius = (DETECTOR_RADIUS_M + marginM) * Math.sqrt(this.#random.uniform())
    const angle = 2 * Math.PI * this.#random.uniform()
    this.#line.x = radius * Math.cos(angle)
    this.#line.y = radius * Math.sin(angle)
    this.#line.z = (DETECTOR_HALF_HEIGHT_M + marginM) * (2 * this.#random.uniform() - 1)
  }

  /** A line through a disc that faces it at the detector's centre, `marginM` wider than the detector. */
  #placeBeside(marginM: number): void {
    const line = this.#line
    const radius = (DETECTOR_RADIUS_M + marginM) * Math.sqrt(this.#random.uniform())
    const angle = 2 * Math.PI * this.#random.uniform()
    const u = radius * Math.cos(angle)
    const v = radius * Math.sin(angle)
    const across = Math.hypot(line.px, line.py)
    const ex = across > 1e-6 ? -line.py / across : 1
    const ey = across > 1e-6 ? line.px / across : 0
    // The second axis of the disc is the cross product of the direction and the first, which is horizontal.
    line.x = u * ex - v * line.pz * ey
    line.y = u * ey + v * line.pz * ex
    line.z = v * (line.px * ey - line.py * ex)
  }
}

/** Brighter events are seen from farther outside, m: ours, wide enough to lose few. */
function margin(energyGev: number): number {
  return Math.min(700, 60 * Math.log(1 + energyGev / 50))
}

function drawPower(random: Random, { leastGev, mostGev, index }: Spectrum): number {
  const power = 1 - index
  const least = leastGev ** power
  return (least + random.uniform() * (mostGev ** power - least)) ** (1 / power)
}
