/** Least share of the screen's pixels, per axis, that are drawn. */
export const RATIO_MIN = 0.5

/** Longer than a frame of 30 a second may take. */
const SLOW_MS = 32

/** Pixels drawn per pixel of CSS after frames of so many milliseconds: fewer where they come too slowly. Never more. */
export function nextRatio(ratio: number, frameMs: number): number {
  if (frameMs <= SLOW_MS || ratio <= RATIO_MIN) return ratio
  return Math.max(RATIO_MIN, Math.round(ratio * 0.8 * 100) / 100)
}
