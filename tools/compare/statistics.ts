import { angularDistance } from '../../src/event/direction.ts'
import { type EventBatch, eventCount, type Truth } from '../../src/event/event-batch.ts'
import { SENSOR_COUNT, SENSORS_PER_STRING, sensorPositions } from '../../src/event/sensors.ts'
import { Histogram } from './histogram.ts'
import { fitLine, hardRows, pickedRows, rowsOf } from './line-fits.ts'

/** Largest event in the comparison of pulse shares: that of the ten real events. */
const SAMPLE_PULSES_MAX = 400
/** The readout of real events begins this long before the first pulse in hard local coincidence, ns; it holds only noise. */
const BEFORE_LIGHT_NS = 3870

/** On strings 79 to 86. */
const FIRST_DEEP_CORE_SENSOR = 78 * SENSORS_PER_STRING

/** Height of the lowest sensor, m. */
const LOWEST_M = -513
/** Below the dust, where the ice is clearest, m. */
const DEEP_M = -150

const NS_MAX = 2 ** 17
const ANGLE_BINS = 4096
const angles = (largest: number) => new Histogram(largest / ANGLE_BINS, ANGLE_BINS)

/** All published figures, computed for any number of events in bounded memory (about 10 MB). */
export class EventStatistics {
  events = 0
  /** Pulses of each event, those in hard local coincidence ("hard": not auxiliary), and its sensors with either. */
  readonly pulses = new Histogram(1, 2 ** 18, 0)
  readonly hardPulses = new Histogram(1, 2 ** 18, 0)
  readonly sensors = new Histogram(1, SENSOR_COUNT + 1, 0)
  readonly hardSensors = new Histogram(1, SENSOR_COUNT + 1, 0)
  /** ns, of all pulses, and of each event's first, last and first hard one. */
  readonly times = new Histogram(1, NS_MAX, 0)
  readonly firstTimes = new Histogram(1, NS_MAX, 0)
  readonly lastTimes = new Histogram(1, NS_MAX, 0)
  readonly firstHardTimes = new Histogram(1, NS_MAX, 0)
  /** Photo-electrons, of all pulses, and of the hard and the auxiliary ones of events like those of the sample. */
  readonly charges = new Histogram(0.05, 2 ** 16)
  readonly hardCharges = new Histogram(0.05, 2 ** 12)
  readonly softCharges = new Histogram(0.05, 2 ** 12)
  /** ns between a hard pulse and the next of its sensor, of events like those of the sample. */
  readonly gaps = new Histogram(0.5, 2 ** 14, 0)
  /** Mean height of each event's hard pulses above `LOWEST_M`, m. */
  readonly hardHeights = new Histogram(1, 1024)
  readonly azimuths = angles(2 * Math.PI)
  readonly zeniths = angles(Math.PI)
  /** Errors of the plain line fit, radians: on all pulses, on the hard ones, on those that a neighbour confirms. */
  readonly allErrors = angles(Math.PI)
  readonly hardErrors = angles(Math.PI)
  readonly hardChargeErrors = angles(Math.PI)
  readonly pickedErrors = angles(Math.PI)
  readonly pickedChargeErrors = angles(Math.PI)
  #samplePulses = 0
  #sampleHardPulses = 0
  #sampleSensors = 0
  #sampleSensorsAgain = 0
  #noisePulses = 0
  #noisePulsesInDeepCore = 0
  #noiseEvents = 0
  /** Last event that hit each sensor, that hit it again, and that hit it with a hard pulse; 0 before the first. */
  readonly #hitBy = new Float64Array(SENSOR_COUNT)
  readonly #hitAgainBy = new Float64Array(SENSOR_COUNT)
  readonly #hardHitBy = new Float64Array(SENSOR_COUNT)
  /** Time of each sensor's last hard pulse, ns. */
  readonly #hardHitAt = new Float64Array(SENSOR_COUNT)

  add(batch: EventBatch): void {
    for (let event = 0; event < eventCount(batch); event++) {
      this.events++
      const isLikeSample = batch.offsets[event + 1] - batch.offsets[event] <= SAMPLE_PULSES_MAX
      this.#addPulses(batch, event, isLikeSample)
      this.#addNoise(batch, event)
      if (batch.truth) this.#addTruth(batch, event, batch.truth)
    }
  }

  /** Share of the pulses of events like those of the sample that are hard. */
  hardShare(): number {
    return this.#sampleHardPulses / this.#samplePulses
  }

  /** Share of the sensors hit in events like those of the sample that have more than one pulse. */
  severalPulsesShare(): number {
    return this.#sampleSensorsAgain / this.#sampleSensors
  }

  /** Sensors that were hit in any event. */
  livingSensors(): number {
    return this.#hitBy.reduce((sum, event) => sum + (event > 0 ? 1 : 0), 0)
  }

  /** Share of the gaps between hard pulses of a sensor that are shorter than 10 ns. */
  shortGapShare(): number {
    return 1 - this.gaps.shareAbove(9.5)
  }

  /** Share of the events whose hard pulses lie below -150 m on average. */
  deepShare(): number {
    return 1 - this.hardHeights.shareAbove(DEEP_M - LOWEST_M)
  }

  /** Pulses before the light, per second and working sensor, Hz. */
  noiseHz(): number {
    return this.#noisePulses / (this.#noiseEvents * LIVING_SENSORS * BEFORE_LIGHT_NS * 1e-9)
  }

  /** Share of them on the strings of DeepCore. */
  noiseInDeepCore(): number {
    return this.#noisePulsesInDeepCore / this.#noisePulses
  }

  /** Mean charge of the pulses of events like those of the sample, photo-electrons. */
  sampleChargeMean(): number {
    const { hardCharges: hard, softCharges: soft } = this
    const sum = (charges: Histogram) => (charges.count > 0 ? charges.mean() * charges.count : 0)
    return (sum(hard) + sum(soft)) / (hard.count + soft.count)
  }

  #addPulses(batch: EventBatch, event: number, isLikeSample: boolean): void {
    const [from, to] = [batch.offsets[event], batch.offsets[event + 1]]
    let [sensors, sensorsAgain, hardSensors, hard, height] = [0, 0, 0, 0, 0]
    for (let row = from; row < to; row++) {
      const sensor = batch.sensorIds[row]
      this.times.add(batch.times[row])
      this.charges.add(batch.charges[row])
      if (this.#hitBy[sensor] !== this.events) sensors++
      else if (this.#hitAgainBy[sensor] !== this.events) {
        sensorsAgain++
        this.#hitAgainBy[sensor] = this.events
      }
      this.#hitBy[sensor] = this.events
      if (isLikeSample) (batch.auxiliary[row] ? this.softCharges : this.hardCharges).add(batch.charges[row])
      if (batch.auxiliary[row]) continue
      if (hard++ === 0) this.firstHardTimes.add(batch.times[row])
      height += sensorPositions[3 * sensor + 2]
      if (this.#hardHitBy[sensor] !== this.events) hardSensors++
      else if (isLikeSample) this.gaps.add(batch.times[row] - this.#hardHitAt[sensor])
      this.#hardHitBy[sensor] = this.events
      this.#hardHitAt[sensor] = batch.times[row]
    }
    this.pulses.add(to - from)
    this.hardPulses.add(hard)
    this.sensors.add(sensors)
    this.hardSensors.add(hardSensors)
    if (hard > 0) this.hardHeights.add(height / hard - LOWEST_M)
    if (to > from) this.firstTimes.add(batch.times[from])
    if (to > from) this.lastTimes.add(batch.times[to - 1])
    if (!isLikeSample) return
    this.#samplePulses += to - from
    this.#sampleHardPulses += hard
    this.#sampleSensors += sensors
    this.#sampleSensorsAgain += sensorsAgain
  }

  #addNoise({ offsets, times, auxiliary, sensorIds }: EventBatch, event: number): void {
    let light = offsets[event]
    while (light < offsets[event + 1] && auxiliary[light]) light++
    if (light === offsets[event + 1]) return
    this.#noiseEvents++
    for (let row = light - 1; row >= offsets[event] && times[light] - times[row] <= BEFORE_LIGHT_NS; row--) {
      this.#noisePulses++
      if (sensorIds[row] >= FIRST_DEEP_CORE_SENSOR) this.#noisePulsesInDeepCore++
    }
  }

  #addTruth(batch: EventBatch, event: number, { azimuth, zenith }: Truth): void {
    const truth = { azimuth: azimuth[event], zenith: zenith[event] }
    if (Number.isNaN(truth.zenith)) return
    this.azimuths.add(truth.azimuth)
    this.zeniths.add(truth.zenith)
    const hard = hardRows(batch, event)
    const picked = pickedRows(batch, event)
    this.allErrors.add(angularDistance(truth, fitLine(batch, rowsOf(batch, event))))
    this.hardErrors.add(angularDistance(truth, fitLine(batch, hard)))
    this.hardChargeErrors.add(angularDistance(truth, fitLine(batch, hard, true)))
    this.pickedErrors.add(angularDistance(truth, fitLine(batch, picked)))
    this.pickedChargeErrors.add(angularDistance(truth, fitLine(batch, picked, true)))
  }
}

/** Working sensors in the first 200,000 real events; the other 109 have no pulse. Source: EDA of Anjum48. */
export const LIVING_SENSORS = 5051
