import type { EventBatch } from '../event/event-batch.ts'
import { Atmosphere } from './atmosphere.ts'
import { Launches } from './coincidence.ts'
import { Illumination } from './illumination.ts'
import { drawNeutrino, Interactions, type Neutrino } from './interaction.ts'
import { addNoise } from './noise.ts'
import { Photocathodes } from './photocathodes.ts'
import { Photons } from './photons.ts'
import { PulseColumns } from './pulse-columns.ts'
import { Random } from './random.ts'
import { AFTER_TRIGGER_NS, BEFORE_TRIGGER_NS, Readout } from './readout.ts'
import { Systematics } from './systematics.ts'
import { Trigger } from './trigger.ts'

/** Fewer photo-electrons can meet no trigger. */
const PHOTONS_MIN = 3
/** Launches of noise this long before or after can become part of a trigger, ns. */
const TRIGGER_MARGIN_NS = 5000
/** Light of a muon reaches sensors up to this long before or after it passes the detector's centre, ns. */
const MUON_CROSSING_NS = 3000
/** Attempts to trigger before the simulator must be wrong; about two in five succeed. */
const ATTEMPTS_MAX = 100_000
/** Muons pass the detector's centre this long after a neutrino beside them interacts, at the earliest, and so much later, ns. */
const EARLIEST_MUONS_NS = -AFTER_TRIGGER_NS - 1500
const MUONS_SPAN_NS = AFTER_TRIGGER_NS + BEFORE_TRIGGER_NS + 3000
/** Bundles of muons that a neutrino which does not trigger is tried with. */
const BUNDLES_MAX = 50

/** Neutrinos, or the muons that trigger the detector a million times as often. */
export const EVENT_KINDS = ['neutrinos', 'muons'] as const
export type EventKind = (typeof EVENT_KINDS)[number]

export interface SimulatorOptions {
  readonly kind?: EventKind | undefined
  /** Draw ice and sensors for each event, instead of the tables for all. */
  readonly systematics?: boolean | undefined
}

/** Events `from` to `from + count` (exclusive) of a seed, with their truth. Event ids are the events' indices. */
export function simulateEvents(seed: number, from: number, count: number): EventBatch {
  return new Simulator(seed).simulate(from, count)
}

/**
 * Events of a simulated IceCube-86 as a stream without end. Event `index` of `seed` is the same whatever was simulated
 * before it, so a stream can go on anywhere and be shared out to workers. Keeps its scratch arrays from event to event.
 *
 * How events are chosen: direction and topology are drawn once per event from what is wanted of the *triggered* events;
 * energy and place are then drawn again until the detector triggers.
 */
export class Simulator {
  readonly #seed: number
  readonly #kind: EventKind
  readonly #systematics: Systematics | undefined
  readonly #illumination: Illumination
  readonly #random = new Random()
  readonly #photons = new Photons()
  readonly #launches = new Launches()
  readonly #trigger = new Trigger()
  readonly #readout = new Readout()
  readonly #cathodes: Photocathodes
  readonly #interactions: Interactions
  readonly #atmosphere: Atmosphere

  /** @param seed whole number from 0 to 2^53 - 1 */
  constructor(seed: number, { kind = 'neutrinos', systematics = false }: SimulatorOptions = {}) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`seed ${seed} is not a whole number from 0 to 2^53 - 1`)
    }
    this.#seed = seed
    this.#kind = kind
    this.#systematics = systematics ? new Systematics() : undefined
    this.#cathodes = new Photocathodes(this.#random, this.#photons)
    const illumination = new Illumination(this.#cathodes)
    this.#illumination = illumination
    this.#interactions = new Interactions(this.#random, illumination)
    this.#atmosphere = new Atmosphere(this.#random, illumination, this.#photons)
  }

  simulate(from: number, count: number): EventBatch {
    const pulses = new PulseColumns(count)
    for (let index = from; index < from + count; index++) {
      this.#random.restart(this.#seed, index)
      if (this.#systematics) this.#illumination.ice = this.#systematics.draw(this.#random)
      if (this.#kind === 'muons') this.#simulateMuons(index, pulses)
      else this.#simulateNeutrino(index, pulses)
    }
    return pulses.toBatch()
  }

  #simulateNeutrino(index: number, pulses: PulseColumns): void {
    const neutrino = drawNeutrino(this.#random)
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const isLit = neutrino.isBesideMuons ? this.#comesWithMuons(neutrino) : this.#lightTriggers(neutrino)
      if (!isLit || !this.#triggersWithNoise()) continue
      const { energyGev, inelasticity, muonGev, vertex } = this.#interactions
      this.#read(pulses)
      pulses.endEvent(index, neutrino, {
        energyGev,
        inelasticity,
        muonGev,
        ...vertex,
        visibleMuons: this.#atmosphere.visible,
        isMuonTriggered: neutrino.isBesideMuons,
      })
      return
    }
    throw this.#failed(index)
  }

  /** The truth of a bundle is its direction; it counts as a through-going track. */
  #simulateMuons(index: number, pulses: PulseColumns): void {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      this.#clear()
      this.#atmosphere.addBundle(0)
      const { azimuth, zenith, energyGev } = this.#atmosphere
      if (this.#photons.count < PHOTONS_MIN || !this.#record() || !this.#triggersWithNoise()) continue
      this.#read(pulses)
      pulses.endEvent(
        index,
        { azimuth, zenith, topology: 'through-going track' },
        {
          energyGev,
          x: Number.NaN,
          y: Number.NaN,
          z: Number.NaN,
          inelasticity: Number.NaN,
          muonGev: 0,
          visibleMuons: this.#atmosphere.visible,
          isMuonTriggered: true,
        },
      )
      return
    }
    throw this.#failed(index)
  }

  #read(pulses: PulseColumns): void {
    const event = { photons: this.#photons, launches: this.#launches, trigger: this.#trigger }
    this.#readout.read(event, this.#random, pulses)
  }

  #clear(): void {
    this.#photons.clear()
    this.#cathodes.restart()
    this.#atmosphere.visible = 0
  }

  /** The neutrino's own light must trigger: noise that lifts an event over the threshold is left out. */
  #lightTriggers(neutrino: Neutrino): boolean {
    this.#clear()
    this.#interactions.attempt(neutrino)
    return this.#photons.count >= PHOTONS_MIN && this.#record()
  }

  /** Some light of the neutrino, too little to trigger, while muons trigger. */
  #comesWithMuons(neutrino: Neutrino): boolean {
    this.#clear()
    this.#interactions.attempt(neutrino)
    const lit = this.#photons.count
    if (lit === 0 || this.#record()) return false
    for (let bundle = 0; bundle < BUNDLES_MAX; bundle++) {
      this.#photons.truncate(lit)
      this.#atmosphere.visible = 0
      // Where the readout of the muons' trigger can hold the neutrino's light.
      this.#atmosphere.addBundle(EARLIEST_MUONS_NS + MUONS_SPAN_NS * this.#random.uniform())
      if (this.#photons.count - lit >= PHOTONS_MIN && this.#record() && this.#isReadOut(lit)) return true
    }
    return false
  }

  /** Whether any of the first `count` photo-electrons is within the readout. */
  #isReadOut(count: number): boolean {
    const from = this.#trigger.startNs - BEFORE_TRIGGER_NS
    const to = this.#trigger.endNs + AFTER_TRIGGER_NS
    for (let row = 0; row < count; row++) {
      const time = this.#photons.times[row]
      if (time >= from && time <= to) return true
    }
    return false
  }

  #triggersWithNoise(): boolean {
    const from = this.#trigger.startNs - TRIGGER_MARGIN_NS - BEFORE_TRIGGER_NS
    const to = this.#trigger.endNs + TRIGGER_MARGIN_NS + AFTER_TRIGGER_NS
    addNoise(this.#random, this.#photons, from, to)
    this.#atmosphere.addBundles(from - MUON_CROSSING_NS, to + MUON_CROSSING_NS)
    return this.#record()
  }

  #record(): boolean {
    this.#photons.sort()
    this.#launches.record(this.#photons)
    return this.#trigger.decide(this.#launches)
  }

  #failed(index: number): Error {
    return new Error(`event ${index} of seed ${this.#seed} did not trigger in ${ATTEMPTS_MAX} attempts`)
  }
}
