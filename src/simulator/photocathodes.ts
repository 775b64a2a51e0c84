import { drawDelay } from './pandel.ts'
import type { Photons } from './photons.ts'
import { AFTERPULSE_CHANCE, drawAfterpulseDelay, drawCharge, drawJitter, drawMisplacement } from './pmt.ts'
import type { Random } from './random.ts'

/** Photo-electrons of one sensor from one source that are drawn one by one; of more, some stand for several. */
const DRAWN_EACH = 32
const DRAWN_MAX = 120
/** Of the photo-electrons beyond `DRAWN_EACH` one in this many is drawn. */
const BUNDLE = 3
/** From this mean on the count is drawn as a Poisson number of its own. */
const POISSON_FROM = 24

/** When light arrives at a sensor: the direct path's time, and the gamma distribution of the delay behind it. */
export interface Arrival {
  directNs: number
  shape: number
  /** 1/ns */
  rate: number
}

/** What becomes of light at the sensors. */
export interface LightSink {
  /** Photo-electrons where `mean` are expected; sensors without any are not asked when they come. */
  drawCount(mean: number): number
  add(sensor: number, count: number, arrival: Arrival): void
}

/** Where light becomes photo-electrons. */
export class Photocathodes implements LightSink {
  readonly #random: Random
  readonly #photons: Photons
  /** Mean photo-electrons still to go before the next one. */
  #untilNext = 0

  constructor(random: Random, photons: Photons) {
    this.#random = random
    this.#photons = photons
  }

  /** Call once for each event before its light. */
  restart(): void {
    this.#untilNext = this.#random.exponential()
  }

  /**
   * A Poisson number. Small means share one stream of arrivals of unit rate, so that a sensor without light costs one
   * subtraction and no random number.
   */
  drawCount(mean: number): number {
    if (mean > POISSON_FROM) return this.#random.poisson(mean)
    let count = 0
    this.#untilNext -= mean
    while (this.#untilNext < 0) {
      this.#untilNext += this.#random.exponential()
      count++
    }
    return count
  }

  /** `count` photo-electrons of one sensor, and their afterpulses. */
  add(sensor: number, count: number, { directNs, shape, rate }: Arrival): void {
    const random = this.#random
    const drawn =
      count <= DRAWN_EACH ? count : Math.min(DRAWN_MAX, Math.ceil(DRAWN_EACH + (count - DRAWN_EACH) / BUNDLE))
    const weight = count / drawn
    for (let i = 0; i < drawn; i++) {
      const time = directNs + drawDelay(random, shape, rate) + drawJitter(random) + drawMisplacement(random)
      this.#photons.add(sensor, time, weight * drawCharge(random))
      const afterpulses = AFTERPULSE_CHANCE * weight
      if (random.uniform() > afterpulses) continue
      const charge = Math.max(1, afterpulses) * drawCharge(random)
      this.#photons.add(sensor, time + drawAfterpulseDelay(random), charge)
    }
  }
}
