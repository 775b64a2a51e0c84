import { SENSORS_PER_STRING, STRING_COUNT } from '../../event/sensors.ts'
import type { ChannelKey } from './pulse-series.ts'

/** IceCube-86's sensor id of a channel; undefined for one that is not in the ice of that detector. */
export function toSensorId({ string, module, photomultiplier }: ChannelKey): number | undefined {
  const isInIce = string >= 1 && string <= STRING_COUNT && module >= 1 && module <= SENSORS_PER_STRING
  if (!isInIce || photomultiplier !== 0) return undefined
  return (string - 1) * SENSORS_PER_STRING + module - 1
}

/** An IceTop tank: on the surface, so that its pulses say nothing about light in the ice. */
export function isIceTop({ string, module }: ChannelKey): boolean {
  return (
    string >= 1 && string <= STRING_COUNT && module > SENSORS_PER_STRING && module <= SENSORS_PER_STRING + 4
  )
}
