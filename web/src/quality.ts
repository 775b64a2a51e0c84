/** Shares of the sensors drawn while the view turns; at rest all are drawn. */
export interface Quality {
  /** Index into `SENSOR_SHARES`. */
  readonly level: number
  /** Consecutive measurements at the speed of the screen. */
  readonly fastMeasures: number
}

export const SENSOR_SHARES = [1, 0.5, 0.25, 0.12] as const

export const FINEST: Quality = { level: 0, fastMeasures: 0 }

/** Longest frame at 30 frames per second. */
const SLOW_MS = 32
/** A frame at 60 frames per second, with some tolerance. */
const FAST_MS = 18
/** Fast measurements before more sensors are drawn. */
const FAST_ENOUGH = 4

/** The quality after a measurement of the median frame time while the view turned. */
export function withMeasure({ level, fastMeasures }: Quality, frameMs: number): Quality {
  if (frameMs > SLOW_MS) return { level: Math.min(SENSOR_SHARES.length - 1, level + 1), fastMeasures: 0 }
  if (frameMs > FAST_MS || level === 0) return { level, fastMeasures: 0 }
  if (fastMeasures + 1 < FAST_ENOUGH) return { level, fastMeasures: fastMeasures + 1 }
  return { level: level - 1, fastMeasures: 0 }
}
