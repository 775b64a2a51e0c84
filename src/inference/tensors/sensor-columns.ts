import {
  absorptionLength,
  absorptionLengthAtDepth,
  scatteringLength,
  scatteringLengthAtDepth,
} from '../../event/ice.ts'
import { domOf, relativeEfficiency, SENSOR_COUNT, sensorPositions, stringOf } from '../../event/sensors.ts'
import type { FeatureSpec } from '../model/manifest.ts'

/** Depth that IceMix took for the detector's centre, m. Its table was looked up mirrored: depth 1950 + z. */
const ICEMIX_CENTRE_DEPTH_M = 1950

const VALUE_OF_SENSOR = {
  x: (sensor: number) => sensorPositions[sensor * 3],
  y: (sensor: number) => sensorPositions[sensor * 3 + 1],
  z: heightOf,
  sensorId: (sensor: number) => sensor,
  stringIndex: stringOf,
  domIndex: domOf,
} as const

const VALUE_BY_LOOKUP = {
  quantumEfficiency: { physical: relativeEfficiency, icemix: icemixEfficiency },
  scatteringLength: {
    physical: (sensor: number) => scatteringLength(heightOf(sensor)),
    icemix: (sensor: number) => scatteringLengthAtDepth(ICEMIX_CENTRE_DEPTH_M + heightOf(sensor)),
  },
  absorptionLength: {
    physical: (sensor: number) => absorptionLength(heightOf(sensor)),
    icemix: (sensor: number) => absorptionLengthAtDepth(ICEMIX_CENTRE_DEPTH_M + heightOf(sensor)),
  },
} as const

/** Raw values of a column that depends on the sensor alone, per sensor; undefined for other columns. [SENSOR_COUNT] */
export function sensorColumn({ column, lookup }: FeatureSpec): Float64Array | undefined {
  const value = valueOfSensor(column, lookup ?? 'physical')
  return value && Float64Array.from({ length: SENSOR_COUNT }, (_, sensor) => value(sensor))
}

function valueOfSensor(
  column: FeatureSpec['column'],
  lookup: 'physical' | 'icemix',
): ((sensor: number) => number) | undefined {
  switch (column) {
    case 'quantumEfficiency':
    case 'scatteringLength':
    case 'absorptionLength':
      return VALUE_BY_LOOKUP[column][lookup]
    case 'x':
    case 'y':
    case 'z':
    case 'sensorId':
    case 'stringIndex':
    case 'domIndex':
      return VALUE_OF_SENSOR[column]
    default:
      return undefined
  }
}

function heightOf(sensor: number): number {
  return sensorPositions[sensor * 3 + 2]
}

/**
 * As IceMix was trained: 1 for DeepCore strings (index 78 on) from DOM index 11 on (physically it begins at 10), and,
 * because label slices include their end, also for DOM index 0 of string indices 79 to 85.
 */
function icemixEfficiency(sensor: number): number {
  const string = stringOf(sensor)
  const dom = domOf(sensor)
  return (string >= 78 && dom >= 11) || (string >= 79 && dom === 0) ? 1 : 0
}
