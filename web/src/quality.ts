/** How finely the moving picture is drawn. What stands still is always drawn at the finest. */
export interface Quality {
  /** Index into `LEVELS`. */
  readonly level: number
  /** Measures in a row that were as fast as the screen. */
  readonly fastMeasures: number
}

/** Pixels drawn per pixel of the screen, along each axis. */
export const LEVELS = [1, 0.8, 0.65, 0.5] as const

export const FINEST: Quality = { level: 0, fastMeasures: 0 }

/** A frame of 30 a second may take no longer. */
const SLOW_MS = 32
/** A frame of 60 a second, with a little patience. */
const FAST_MS = 18
/** As many fast measures before a finer level is tried. */
const FAST_ENOUGH = 8

/** After a measure of the median time of a frame. */
export function withMeasure({ level, fastMeasures }: Quality, frameMs: number): Quality {
  if (frameMs > SLOW_MS) return { level: Math.min(LEVELS.length - 1, level + 1), fastMeasures: 0 }
  if (frameMs > FAST_MS || level === 0) return { level, fastMeasures: 0 }
  if (fastMeasures + 1 < FAST_ENOUGH) return { level, fastMeasures: fastMeasures + 1 }
  return { level: level - 1, fastMeasures: 0 }
}
