import type { EventBatch } from '../event/event-batch.ts'
import { Background } from './background.ts'
import { Launches } from './coincidence.ts'
import { Illumination } from './illumination.ts'
import { drawNeutrino, Interactions, type Neutrino } from './interaction.ts'
import { addNoise } from './noise.ts'
import { Photocathodes } from './photocathodes.ts'
import { Photons } from './photons.ts'
import { PulseColumns } from './pulse-columns.ts'
import { Random } from './random.ts'
import { AFTER_TRIGGER_NS, BEFORE_TRIGGER_NS, Readout } from './readout.ts'
import { Trigger } from './trigger.ts'

/** Fewer photo-electrons can meet no trigger. */
const PHOTONS_MIN = 3
/** Launches of noise this long before or after can become part of a trigger, ns. */
const TRIGGER_MARGIN_NS = 5000
/** Light of a muon reaches sensors up to this long after the muon started, ns. */
const MUON_CROSSING_NS = 3000
/** Attempts to trigger before the simulator must be wrong; about two in five succeed. */
const ATTEMPTS_MAX = 100_000

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
  readonly #random = new Random()
  readonly #photons = new Photons()
  readonly #launches = new Launches()
  readonly #trigger = new Trigger()
  readonly #readout = new Readout()
  readonly #cathodes: Photocathodes
  readonly #interactions: Interactions
  readonly #background: Background

  /** @param seed whole number from 0 to 2^53 - 1 */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`seed ${seed} is not a whole number from 0 to 2^53 - 1`)
    }
    this.#seed = seed
    this.#cathodes = new Photocathodes(this.#random, this.#photons)
    const illumination = new Illumination(this.#cathodes)
    this.#interactions = new Interactions(this.#random, illumination)
    this.#background = new Background(this.#random, illumination)
  }

  simulate(from: number, count: number): EventBatch {
    const pulses = new PulseColumns(count)
    for (let index = from; index < from + count; index++) this.#simulateEvent(index, pulses)
    return pulses.toBatch()
  }

  #simulateEvent(index: number, pulses: PulseColumns): void {
    this.#random.restart(this.#seed, index)
    const neutrino = drawNeutrino(this.#random)
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (!this.#lightTriggers(neutrino) || !this.#triggersWithNoise()) continue
      this.#readout.read(
        { photons: this.#photons, launches: this.#launches, trigger: this.#trigger },
        this.#random,
        pulses,
      )
      pulses.endEvent(index, neutrino)
      return
    }
    throw new Error(`event ${index} of seed ${this.#seed} did not trigger in ${ATTEMPTS_MAX} attempts`)
  }

  /** The neutrino's own light must trigger: noise that lifts an event over the threshold is left out. */
  #lightTriggers(neutrino: Neutrino): boolean {
    this.#photons.clear()
    this.#cathodes.restart()
    this.#interactions.attempt(neutrino)
    return this.#photons.count >= PHOTONS_MIN && this.#record()
  }

  #triggersWithNoise(): boolean {
    const from = this.#trigger.startNs - TRIGGER_MARGIN_NS - BEFORE_TRIGGER_NS
    const to = this.#trigger.endNs + TRIGGER_MARGIN_NS + AFTER_TRIGGER_NS
    addNoise(this.#random, this.#photons, from, to)
    this.#background.addMuons(from - MUON_CROSSING_NS, to)
    return this.#record()
  }

  #record(): boolean {
    this.#photons.sort()
    this.#launches.record(this.#photons)
    return this.#trigger.decide(this.#launches)
  }
}
