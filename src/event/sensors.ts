import { DRIFT_CM, DRIFTING_STRING, STRINGS_CM } from './sensor-table.ts'

export const STRING_COUNT = 86
export const SENSORS_PER_STRING = 60
export const SENSOR_COUNT = STRING_COUNT * SENSORS_PER_STRING

/** The denser strings 79 to 86 in the middle of the detector: string indices from here on. */
const FIRST_DEEP_CORE_STRING = 78

/** The ten top sensors of a DeepCore string are a veto above the dust layer; the fifty below are of high efficiency. */
const FIRST_HIGH_EFFICIENCY_DOM = 10

/** Depth of the detector's origin (z = 0) below the surface of the ice, m. Source: arXiv:1612.05093. */
export const CENTRE_DEPTH_M = 1948.07

/**
 * Positions of all sensors, m: x, y, z of sensor 0, of sensor 1, … Origin at the detector's centre, z up,
 * right-handed. [SENSOR_COUNT × 3]
 */
export const sensorPositions: Float32Array = buildPositions()

/** Whether a detector's name, as files and streams give it, means IceCube-86: `icecube-86`, `IceCube86`, `icecube`. */
export function isKnownDetector(name: string): boolean {
  return /^icecube[-_ ]?(86)?$/i.test(name.trim())
}

/** Index of the string that a sensor hangs on, 0 to 85 (IceCube's string number less one). */
export function stringOf(sensorId: number): number {
  return Math.floor(sensorId / SENSORS_PER_STRING)
}

/** Place of a sensor on its string, 0 (top) to 59. */
export function domOf(sensorId: number): number {
  return sensorId % SENSORS_PER_STRING
}

export function isDeepCore(sensorId: number): boolean {
  return stringOf(sensorId) >= FIRST_DEEP_CORE_STRING
}

/** Photon detection efficiency relative to a standard sensor: 1.35 for the high-efficiency sensors, otherwise 1. */
export function relativeEfficiency(sensorId: number): number {
  return isDeepCore(sensorId) && domOf(sensorId) >= FIRST_HIGH_EFFICIENCY_DOM ? 1.35 : 1
}

/** Depth below the surface, m, of a height in the detector's coordinates. */
export function depthOf(z: number): number {
  return CENTRE_DEPTH_M - z
}

function buildPositions(): Float32Array {
  const positions = new Float32Array(SENSOR_COUNT * 3)
  const drift = DRIFT_CM.trim().split(/\s+/)
  for (const [string, line] of STRINGS_CM.trim().split('\n').entries()) {
    const [x, y, top, ...steps] = line.split(' ')
    let zCm = Number(top)
    const downwards = [0, ...steps.flatMap(expandStep)]
    for (const [dom, stepCm] of downwards.entries()) {
      zCm -= stepCm
      const [xCm, yCm] = string === DRIFTING_STRING ? drift[dom].split(',') : [x, y]
      positions.set(
        [Number(xCm) / 100, Number(yCm) / 100, zCm / 100],
        (string * SENSORS_PER_STRING + dom) * 3,
      )
    }
  }
  return positions
}

/** `3x1702` is three steps of 1702 cm, `1702` one. */
function expandStep(step: string): number[] {
  const [times, stepCm] = step.includes('x') ? step.split('x') : ['1', step]
  return new Array<number>(Number(times)).fill(Number(stepCm))
}
