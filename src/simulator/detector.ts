import {
  relativeEfficiency,
  SENSOR_COUNT,
  SENSORS_PER_STRING,
  STRING_COUNT,
  sensorPositions,
} from '../event/sensors.ts'
import { layerOf } from './optics.ts'
import { Random } from './random.ts'

/** Where each string hangs, m; the one string that drifts by 0.3 m is taken at its middle. [strings] */
export const stringX = new Float64Array(STRING_COUNT)
export const stringY = new Float64Array(STRING_COUNT)
/** Height of each sensor, m. [sensors] */
export const sensorZ = new Float64Array(SENSOR_COUNT)
/** Layer of the ice that each sensor hangs in. [sensors] */
export const sensorLayer = new Int32Array(SENSOR_COUNT)
/** Photon detection efficiency relative to a standard sensor; 0 for the dead. [sensors] */
export const sensorEfficiency = new Float64Array(SENSOR_COUNT)

/**
 * Sensors that never answer: 109 in the first 200,000 real events (EDA of Anjum48). Which ones is not published; these are
 * drawn at random, once for all time, from a stream chosen such that none of them answers in the ten real events known.
 */
export const DEAD_SENSORS = 109
const DEAD_SENSORS_SEED = 42_779
/** 1 for the dead, otherwise 0. [sensors] */
export const sensorIsDead: Uint8Array = drawDead()

for (let string = 0; string < STRING_COUNT; string++) {
  const middle = string * SENSORS_PER_STRING + SENSORS_PER_STRING / 2
  stringX[string] = sensorPositions[middle * 3]
  stringY[string] = sensorPositions[middle * 3 + 1]
}
for (let sensor = 0; sensor < SENSOR_COUNT; sensor++) {
  sensorZ[sensor] = sensorPositions[sensor * 3 + 2]
  sensorLayer[sensor] = layerOf(sensorZ[sensor])
  sensorEfficiency[sensor] = sensorIsDead[sensor] ? 0 : relativeEfficiency(sensor)
}

/** Spacing of sensors on the 78 standard strings, m. Source: arXiv:1612.05093. */
const STANDARD_SPACING_M = 17.02
const FIRST_IRREGULAR_STRING = 78

/** A sensor of the string at or above height `z` from where a scan downwards may begin; none above it was missed. */
export function firstSensorBelow(string: number, z: number): number {
  const top = string * SENSORS_PER_STRING
  if (string >= FIRST_IRREGULAR_STRING) return top
  // One sensor of margin covers the surveyed steps that differ from the nominal spacing.
  const steps = Math.floor((sensorZ[top] - z) / STANDARD_SPACING_M) - 1
  return top + (steps < 0 ? 0 : steps >= SENSORS_PER_STRING ? SENSORS_PER_STRING - 1 : steps)
}

function drawDead(): Uint8Array {
  const random = new Random()
  random.restart(DEAD_SENSORS_SEED, 0)
  const isDead = new Uint8Array(SENSOR_COUNT)
  for (let left = DEAD_SENSORS; left > 0; ) {
    const sensor = Math.floor(random.uniform() * SENSOR_COUNT)
    left -= 1 - isDead[sensor]
    isDead[sensor] = 1
  }
  return isDead
}
