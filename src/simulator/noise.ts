import { SENSOR_COUNT } from '../event/sensors.ts'
import { sensorIsDead } from './detector.ts'
import type { Photons } from './photons.ts'
import { drawLaunchingCharge } from './pmt.ts'
import type { Random } from './random.ts'

/**
 * Glass of a sensor glows: single photons, and decays that give off bursts. Source of the burst's form: vuvuzela
 * (icetray): 8.072 hits per decay, log10 of the intervals in ns normal with mean 4.395 and spread 1.777.
 */
const GOES_ON_CHANCE = 1 - 1 / 8.072
const LOG_INTERVAL_MEAN = 4.395 * Math.LN10
const LOG_INTERVAL_SPREAD = 1.777 * Math.LN10
/**
 * Beginnings of single hits and of stretches of bursts, Hz per sensor; set such that recordings before the trigger come at
 * 552 Hz per living sensor (5,051 of 5,160), as counted in real events.
 */
const BEGINNING_HZ = 424
/** Bursts that begin this long before the window reach into it, ns. */
const LEAD_NS = 8000

/** The 400 high-efficiency sensors, ten below the top of the last eight strings, glow more by their efficiency. */
const HIGH_EFFICIENCY_STRINGS = 78
const HIGH_EFFICIENCY_EXTRA = 0.35
const WEIGHT = SENSOR_COUNT + 400 * HIGH_EFFICIENCY_EXTRA

/** Adds the noise hits of all sensors between `from` and `to`, ns. */
export function addNoise(random: Random, photons: Photons, from: number, to: number): void {
  const begin = from - LEAD_NS
  const meanGap = 1e9 / (BEGINNING_HZ * WEIGHT)
  for (let time = begin + random.exponential() * meanGap; time < to; time += random.exponential() * meanGap) {
    const sensor = drawSensor(random)
    if (sensorIsDead[sensor]) continue
    for (let hit = time; hit < to; hit += drawInterval(random)) {
      if (hit >= from) photons.add(sensor, hit, drawLaunchingCharge(random))
      if (random.uniform() > GOES_ON_CHANCE) break
    }
  }
}

function drawInterval(random: Random): number {
  return Math.exp(LOG_INTERVAL_MEAN + LOG_INTERVAL_SPREAD * random.normal())
}

function drawSensor(random: Random): number {
  const at = random.uniform() * WEIGHT
  if (at < SENSOR_COUNT) return at | 0
  const extra = ((at - SENSOR_COUNT) / HIGH_EFFICIENCY_EXTRA) | 0
  return (HIGH_EFFICIENCY_STRINGS + ((extra / 50) | 0)) * 60 + 10 + (extra % 50)
}
