import { SENSOR_COUNT, sensorPositions } from '../../event/sensors.ts'
import { PULSE_FLAG, PulseColumns, type PulseSeries, unpackKey } from './pulse-series.ts'
import { toSensorId } from './sensors.ts'

/** Pulses within this distance and time of one another belong together. */
const RADIUS_M = 150
const REACH_NS = 1_000
/** Hard local coincidence pulses that a seed needs near it. */
const SEED_NEIGHBOURS = 2
/** The window of the event, ns. */
const WINDOW_NS = 6_000

/**
 * The pulses that IceCube's track fits use: seeded radius-time (SRT) cleaning and the densest time window. Seeds are HLC
 * pulses with at least two others within 150 m and 1,000 ns; any pulse as near to a taken one is taken too; of these the
 * 6,000 ns with the most pulses are kept. It reproduces `nch`, `npulses` and `qtot` of IceCube's messages.
 *
 * Each pulse is taken at most once and looks at the sensors near it, so that the work grows with the pulses alone.
 */
export function cleanPulses(series: PulseSeries): PulseSeries {
  const pulses = new Neighbourhood(series)
  const taken = pulses.grow(pulses.seeds())
  const [fromNs, toNs] = densestWindow(series.times, taken)
  const columns = new PulseColumns()
  for (const [channel, key] of series.keys.entries()) {
    const before = columns.length
    for (let row = series.starts[channel]; row < series.starts[channel + 1]; row++) {
      if (taken[row] === 1 && series.times[row] >= fromNs && series.times[row] <= toNs)
        columns.addRow(series, row)
    }
    if (columns.length === before) continue
    columns.beginChannel(key)
    columns.endChannel()
  }
  return columns.toSeries()
}

/** Looks up the pulses near a pulse: rows of a channel are consecutive and in order of time. */
class Neighbourhood {
  readonly #series: PulseSeries
  /** Channel of a sensor in the series; -1 where it has no pulse. */
  readonly #channelOf = new Int32Array(SENSOR_COUNT).fill(-1)
  readonly #sensorOf: Int32Array
  readonly #near = new Map<number, Int32Array>()

  constructor(series: PulseSeries) {
    this.#series = series
    this.#sensorOf = Int32Array.from(series.keys, (key) => toSensorId(unpackKey(key)) ?? -1)
    for (const [channel, sensor] of this.#sensorOf.entries())
      if (sensor >= 0) this.#channelOf[sensor] = channel
  }

  /** Rows of HLC pulses that have enough others near them. */
  seeds(): number[] {
    const { starts, times, flags } = this.#series
    const isHlc = (row: number) => (flags[row] & PULSE_FLAG.localCoincidence) !== 0
    const seeds: number[] = []
    for (const [channel] of this.#sensorOf.entries()) {
      for (let row = starts[channel]; row < starts[channel + 1]; row++) {
        if (!isHlc(row)) continue
        let others = 0
        for (const near of this.#nearChannels(channel)) {
          for (let other = this.#firstAfter(near, times[row] - REACH_NS); other < starts[near + 1]; other++) {
            if (times[other] > times[row] + REACH_NS || others >= SEED_NEIGHBOURS) break
            if (other !== row && isHlc(other)) others++
          }
        }
        if (others >= SEED_NEIGHBOURS) seeds.push(row)
      }
    }
    return seeds
  }

  /** 1 for every pulse that is reached from the seeds. [pulses] */
  grow(seeds: readonly number[]): Uint8Array {
    const { starts, times } = this.#series
    const taken = new Uint8Array(times.length)
    // The next row of the channel that is not taken yet, with path compression.
    const next = Int32Array.from({ length: times.length + 1 }, (_, row) => row)
    const untaken = (row: number): number => {
      let root = row
      while (next[root] !== root) root = next[root]
      for (let at = row; next[at] !== root; ) [at, next[at]] = [next[at], root]
      return root
    }
    const channelOfRow = new Int32Array(times.length)
    for (const [channel] of this.#sensorOf.entries())
      channelOfRow.fill(channel, starts[channel], starts[channel + 1])
    const queue = [...seeds]
    for (const row of queue) {
      taken[row] = 1
      next[row] = row + 1
    }
    for (let row = queue.pop(); row !== undefined; row = queue.pop()) {
      for (const near of this.#nearChannels(channelOfRow[row])) {
        const to = starts[near + 1]
        for (
          let other = untaken(this.#firstAfter(near, times[row] - REACH_NS));
          other < to;
          other = untaken(other)
        ) {
          if (times[other] > times[row] + REACH_NS) break
          taken[other] = 1
          next[other] = other + 1
          queue.push(other)
        }
      }
    }
    return taken
  }

  /** Channels with pulses within the radius of one, itself included. */
  #nearChannels(channel: number): Int32Array {
    const known = this.#near.get(channel)
    if (known) return known
    const sensor = this.#sensorOf[channel]
    const near: number[] = []
    if (sensor >= 0) {
      const at = (of: number, axis: number) => sensorPositions[3 * of + axis]
      for (const [other, otherSensor] of this.#sensorOf.entries()) {
        if (otherSensor < 0 || this.#channelOf[otherSensor] !== other) continue
        const distance = Math.hypot(
          at(sensor, 0) - at(otherSensor, 0),
          at(sensor, 1) - at(otherSensor, 1),
          at(sensor, 2) - at(otherSensor, 2),
        )
        if (distance <= RADIUS_M) near.push(other)
      }
    }
    const found = Int32Array.from(near)
    this.#near.set(channel, found)
    return found
  }

  /** First row of a channel at or after a time. */
  #firstAfter(channel: number, timeNs: number): number {
    const { starts, times } = this.#series
    let [low, high] = [starts[channel], starts[channel + 1]]
    while (low < high) {
      const middle = (low + high) >> 1
      if (times[middle] < timeNs) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The window that holds the most taken pulses; the earliest of several. */
function densestWindow(times: Float64Array, taken: Uint8Array): readonly [number, number] {
  const sorted = times.filter((_, row) => taken[row] === 1).sort()
  let [best, from, most] = [0, 0, 0]
  for (let to = 0; to < sorted.length; to++) {
    while (sorted[to] - sorted[from] > WINDOW_NS) from++
    if (to - from + 1 > most) {
      most = to - from + 1
      best = from
    }
  }
  return most === 0 ? [0, -1] : [sorted[best], sorted[best] + WINDOW_NS]
}
