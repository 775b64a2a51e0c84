/** How many of the sensors are drawn while the view turns; at rest it is all of them. */
export interface Quality {
  /** Index into `SENSOR_SHARES`. */
  readonly level: number
  /** Measures in a row that were as fast as the screen. */
  readonly fastMeasures: number
}

export const SENSOR_SHARES = [1, 0.5, 0.25, 0.12] as const

export const FINEST: Quality = { level: 0, fastMeasures: 0 }

/** A frame of 30 a second may take no longer. */
const SLOW_MS = 32
/** A frame of 60 a second, with a little patience. */
const FAST_MS = 18
/** As many fast measures before more sensors are tried. */
const FAST_ENOUGH = 4

/** After a measure of the median time of a frame while the view turned. */
export function withMeasure({ level, fastMeasures }: Quality, frameMs: number): Quality {
  if (frameMs > SLOW_MS) return { level: Math.min(SENSOR_SHARES.length - 1, level + 1), fastMeasures: 0 }
  if (frameMs > FAST_MS || level === 0) return { level, fastMeasures: 0 }
  if (fastMeasures + 1 < FAST_ENOUGH) return { level, fastMeasures: fastMeasures + 1 }
  return { level: level - 1, fastMeasures: 0 }
}
