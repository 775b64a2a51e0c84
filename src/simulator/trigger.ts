import { SENSORS_PER_STRING } from '../event/sensors.ts'
import type { Launches } from './coincidence.ts'
import { sensorZ, stringX, stringY } from './detector.ts'

/** Rules that start a readout, on launches in hard local coincidence. Source: arXiv:1612.05093, settings of May 2016. */
const ALL = { launches: 8, windowNs: 5000 }
const DEEP_CORE = { launches: 3, windowNs: 2500 }
/** Launches in a cylinder around one of them. */
const VOLUME = { launches: 4, windowNs: 1000, radiusM: 175, halfHeightM: 37.5 }

/** So many launches within the volume trigger's time do fill some cylinder: no need to look which. */
const CROWD = 64

const FIRST_DEEP_CORE_STRING = 78
const FIRST_DEEP_CORE_DOM = 10
/** IceCube strings 26, 27, 35, 36, 37, 45 and 46 (indices here) surround DeepCore; below the dust they belong to it. */
const AROUND_DEEP_CORE = new Set([25, 26, 34, 35, 36, 44, 45])
const FIRST_DOM_AROUND = 38

const HARD_MAX = 2 ** 16

/** From the first launch of the earliest trigger to the last launch of the latest. */
export class Trigger {
  /** ns on the launches' clock. */
  startNs = 0
  endNs = 0
  readonly #hard: Int32Array = new Int32Array(HARD_MAX)
  readonly #inDeepCore: Int32Array = new Int32Array(HARD_MAX)

  /** True where any rule is met; `startNs` and `endNs` then say when. */
  decide(launches: Launches): boolean {
    this.startNs = Number.POSITIVE_INFINITY
    this.endNs = Number.NEGATIVE_INFINITY
    let hard = 0
    let deep = 0
    for (let launch = 0; launch < launches.count; launch++) {
      if (launches.hard[launch] === 0) continue
      this.#hard[hard++] = launch
      if (isFiducialOfDeepCore(launches.sensors[launch])) this.#inDeepCore[deep++] = launch
    }
    this.#slide(launches.times, hard, ALL)
    this.#slide(launches.times, deep, DEEP_CORE)
    this.#searchVolume(launches, hard)
    return this.startNs <= this.endNs
  }

  /** Enough of the first `count` launches (in order of time) within the window, wherever it begins. */
  #slide(times: Float64Array, count: number, rule: typeof ALL): void {
    const rows = rule === ALL ? this.#hard : this.#inDeepCore
    for (let i = 0; i + rule.launches <= count; i++) {
      const end = times[rows[i + rule.launches - 1]]
      if (end - times[rows[i]] <= rule.windowNs) this.#cover(times[rows[i]], end)
    }
  }

  #searchVolume(launches: Launches, count: number): void {
    const { times, sensors } = launches
    const rows = this.#hard
    for (let i = 0; i + VOLUME.launches <= count; i++) {
      const start = times[rows[i]]
      // What lies within times already covered changes nothing.
      if (start >= this.startNs && start + VOLUME.windowNs <= this.endNs) continue
      let beyond = i + VOLUME.launches
      if (times[rows[beyond - 1]] - start > VOLUME.windowNs) continue
      while (beyond < count && times[rows[beyond]] - start <= VOLUME.windowNs) beyond++
      if (beyond - i > CROWD) {
        this.#cover(start, times[rows[beyond - 1]])
        continue
      }
      const last = times[rows[beyond - 1]]
      let end = start
      for (let centre = i; centre < beyond && end < last; centre++) {
        end = Math.max(end, this.#endAround(launches, i, beyond, sensors[rows[centre]]))
      }
      if (end > start) this.#cover(start, end)
    }
  }

  /** Time of the last launch in the cylinder around a sensor, where it has enough of rows `from` to `to`, the first among them. */
  #endAround(launches: Launches, from: number, to: number, sensor: number): number {
    const { times, sensors } = launches
    const rows = this.#hard
    if (!isNear(sensor, sensors[rows[from]])) return Number.NEGATIVE_INFINITY
    let inside = 0
    let end = Number.NEGATIVE_INFINITY
    for (let i = from; i < to; i++) {
      if (!isNear(sensor, sensors[rows[i]])) continue
      inside++
      end = times[rows[i]]
    }
    return inside >= VOLUME.launches ? end : Number.NEGATIVE_INFINITY
  }

  #cover(start: number, end: number): void {
    if (start < this.startNs) this.startNs = start
    if (end > this.endNs) this.endNs = end
  }
}

function isNear(sensor: number, other: number): boolean {
  if (Math.abs(sensorZ[sensor] - sensorZ[other]) > VOLUME.halfHeightM) return false
  const string = (sensor / SENSORS_PER_STRING) | 0
  const otherString = (other / SENSORS_PER_STRING) | 0
  const dx = stringX[string] - stringX[otherString]
  const dy = stringY[string] - stringY[otherString]
  return dx * dx + dy * dy <= VOLUME.radiusM * VOLUME.radiusM
}

function isFiducialOfDeepCore(sensor: number): boolean {
  const string = (sensor / SENSORS_PER_STRING) | 0
  const dom = sensor % SENSORS_PER_STRING
  if (string >= FIRST_DEEP_CORE_STRING) return dom >= FIRST_DEEP_CORE_DOM
  return dom >= FIRST_DOM_AROUND && AROUND_DEEP_CORE.has(string)
}
