import { angularDistance, type Direction, fromSourceVector } from '../event/direction.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import { SENSOR_COUNT, sensorPositions } from '../event/sensors.ts'
import { Histogram } from './histogram.ts'

/** Events as large as the largest of the ten real ones that shares of pulses are compared with. */
const SAMPLE_PULSES_MAX = 400

/** What is known of the real events, taken of any number of events in bounded memory (some 8 MB). */
export class EventStatistics {
  events = 0
  readonly pulses = new Histogram(1, 2 ** 18, 0)
  readonly sensors = new Histogram(1, SENSOR_COUNT + 1, 0)
  readonly hardSensors = new Histogram(1, SENSOR_COUNT + 1, 0)
  readonly times = new Histogram(1, 2 ** 17, 0)
  readonly firstTimes = new Histogram(1, 2 ** 17, 0)
  readonly lastTimes = new Histogram(1, 2 ** 17, 0)
  readonly firstHardTimes = new Histogram(1, 2 ** 17, 0)
  readonly charges = new Histogram(0.05, 2 ** 16)
  readonly hardCharges = new Histogram(0.05, 2 ** 12)
  readonly softCharges = new Histogram(0.05, 2 ** 12)
  readonly zeniths = new Histogram(Math.PI / 4096, 4096)
  readonly lineFitErrors = new Histogram(Math.PI / 4096, 4096)
  readonly hardLineFitErrors = new Histogram(Math.PI / 4096, 4096)
  /** Of events of the size of the sample's. */
  samplePulses = 0
  sampleHardPulses = 0
  /** Event that last hit each sensor, and that last hit it with a pulse in hard local coincidence; 0: none yet. */
  readonly #hitBy = new Float64Array(SENSOR_COUNT)
  readonly #hardHitBy = new Float64Array(SENSOR_COUNT)

  add(batch: EventBatch): void {
    for (let event = 0; event < eventCount(batch); event++) {
      this.events++
      this.#addPulses(batch, batch.offsets[event], batch.offsets[event + 1])
      if (batch.truth) this.#addTruth(batch, event, batch.truth.azimuth[event], batch.truth.zenith[event])
    }
  }

  #addPulses(batch: EventBatch, from: number, to: number): void {
    let sensors = 0
    let hardSensors = 0
    let hard = 0
    let firstHard = Number.NaN
    const isLikeSample = to - from <= SAMPLE_PULSES_MAX
    for (let row = from; row < to; row++) {
      const sensor = batch.sensorIds[row]
      this.times.add(batch.times[row])
      this.charges.add(batch.charges[row])
      if (this.#hitBy[sensor] !== this.events) sensors++
      this.#hitBy[sensor] = this.events
      if (isLikeSample) (batch.auxiliary[row] ? this.softCharges : this.hardCharges).add(batch.charges[row])
      if (batch.auxiliary[row]) continue
      if (hard++ === 0) firstHard = batch.times[row]
      if (this.#hardHitBy[sensor] !== this.events) hardSensors++
      this.#hardHitBy[sensor] = this.events
    }
    this.pulses.add(to - from)
    this.sensors.add(sensors)
    this.hardSensors.add(hardSensors)
    this.firstTimes.add(batch.times[from])
    this.lastTimes.add(batch.times[to - 1])
    if (hard > 0) this.firstHardTimes.add(firstHard)
    if (!isLikeSample) return
    this.samplePulses += to - from
    this.sampleHardPulses += hard
  }

  #addTruth(batch: EventBatch, event: number, azimuth: number, zenith: number): void {
    if (Number.isNaN(zenith)) return
    const truth = { azimuth, zenith }
    this.zeniths.add(zenith)
    this.lineFitErrors.add(angularDistance(truth, fitLine(batch, event, false)))
    this.hardLineFitErrors.add(angularDistance(truth, fitLine(batch, event, true)))
  }
}

/**
 * The plain line fit: least squares of place against time, from all pulses or from those in hard local coincidence alone.
 * Source: v = cov(r, t) / var(t); the particle travels along v.
 */
export function fitLine(batch: EventBatch, event: number, hardOnly: boolean): Direction {
  let n = 0
  let t = 0
  let x = 0
  let y = 0
  let z = 0
  let xt = 0
  let yt = 0
  let zt = 0
  for (let row = batch.offsets[event]; row < batch.offsets[event + 1]; row++) {
    if (hardOnly && batch.auxiliary[row]) continue
    const at = batch.sensorIds[row] * 3
    const time = batch.times[row] - 10_000
    n++
    t += time
    x += sensorPositions[at]
    y += sensorPositions[at + 1]
    z += sensorPositions[at + 2]
    xt += sensorPositions[at] * time
    yt += sensorPositions[at + 1] * time
    zt += sensorPositions[at + 2] * time
  }
  return fromSourceVector(x * t - xt * n, y * t - yt * n, z * t - zt * n)
}
