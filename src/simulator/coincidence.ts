import { SENSOR_COUNT, SENSORS_PER_STRING } from '../event/sensors.ts'
import type { Photons } from './photons.ts'
import { DISCRIMINATOR_PE } from './pmt.ts'

/** Recordings ("launches") with a neighbour or next-to-nearest neighbour this close are in hard local coincidence, ns. */
const COINCIDENCE_NS = 1000
const NEIGHBOURS = 2
/** What is recorded of a launch and how long the sensor is then blind, ns. Source: arXiv:1612.05093, DOMLauncher (icetray). */
export const HARD_RECORD_NS = 6400
const HARD_DEAD_NS = 6450
const SOFT_DEAD_NS = 2450
/** A sensor on its own sends three samples of 25 ns around the peak. */
export const SOFT_RECORD_NS = 75

const LAUNCHES_MAX = 2 ** 16
const NONE = -1

/** Recordings that the sensors make of an event's photo-electrons, in order of time. Used again for every event. */
export class Launches {
  count = 0
  readonly sensors: Uint16Array = new Uint16Array(LAUNCHES_MAX)
  /** ns */
  readonly times: Float64Array = new Float64Array(LAUNCHES_MAX)
  /** 1 in hard local coincidence, otherwise 0. */
  readonly hard: Uint8Array = new Uint8Array(LAUNCHES_MAX)
  /** Launch that each photo-electron (by row) is part of, -1 where the sensor was blind or the charge too small. */
  readonly ofPhoton: Int32Array = new Int32Array(2 ** 18)
  readonly #lastOfSensor: Int32Array = new Int32Array(SENSOR_COUNT)

  /** Goes through `photons`, which are sorted, as the sensors do. */
  record(photons: Photons): void {
    this.count = 0
    const last = this.#lastOfSensor.fill(NONE)
    for (let i = 0; i < photons.count; i++) {
      const photon = photons.order[i]
      const sensor = photons.sensors[photon]
      const time = photons.times[photon]
      const launch = last[sensor]
      if (launch !== NONE && time < this.times[launch] + (this.hard[launch] ? HARD_DEAD_NS : SOFT_DEAD_NS)) {
        // A soft launch can still turn hard within a microsecond, so what it keeps is decided at readout.
        this.ofPhoton[photon] = launch
      } else if (photons.charges[photon] < DISCRIMINATOR_PE || this.count === LAUNCHES_MAX) {
        this.ofPhoton[photon] = NONE
      } else {
        this.ofPhoton[photon] = this.#launch(sensor, time)
      }
    }
  }

  #launch(sensor: number, time: number): number {
    const launch = this.count++
    this.sensors[launch] = sensor
    this.times[launch] = time
    this.hard[launch] = 0
    this.#lastOfSensor[sensor] = launch
    const dom = sensor % SENSORS_PER_STRING
    const top = dom < NEIGHBOURS ? sensor - dom : sensor - NEIGHBOURS
    const bottom =
      dom + NEIGHBOURS < SENSORS_PER_STRING ? sensor + NEIGHBOURS : sensor - dom + SENSORS_PER_STRING - 1
    for (let other = top; other <= bottom; other++) {
      const neighbour = this.#lastOfSensor[other]
      if (other === sensor || neighbour === NONE || time - this.times[neighbour] > COINCIDENCE_NS) continue
      this.hard[launch] = 1
      this.hard[neighbour] = 1
    }
    return launch
  }
}
