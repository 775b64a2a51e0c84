/** Directions of many events as columns. Radians; all arrays [events]. */
export interface DirectionColumns {
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
}

/**
 * Opening angles between the directions of the same events, radians, 0 to π; NaN where either is unknown.
 * The formula of `angularDistance` (direction.ts) without an object per event. [events]
 */
export function openingAngles(a: DirectionColumns, b: DirectionColumns): Float64Array {
  const angles = new Float64Array(a.azimuth.length)
  for (let i = 0; i < angles.length; i++) {
    const sinA = Math.sin(a.zenith[i])
    const cosA = Math.cos(a.zenith[i])
    const sinB = Math.sin(b.zenith[i])
    const cosB = Math.cos(b.zenith[i])
    const turn = b.azimuth[i] - a.azimuth[i]
    // Cross product in the frame whose x axis lies below a: exact for small angles where arccos is not.
    const crossX = sinB * Math.sin(turn)
    const crossY = sinA * cosB - cosA * sinB * Math.cos(turn)
    const dot = sinA * sinB * Math.cos(turn) + cosA * cosB
    angles[i] = Math.atan2(Math.sqrt(crossX * crossX + crossY * crossY), dot)
  }
  return angles
}
