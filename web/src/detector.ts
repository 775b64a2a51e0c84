import { CENTRE_DEPTH_M, SENSORS_PER_STRING, STRING_COUNT, sensorPositions } from '../../src/event/sensors.ts'
import type { Vector } from './vector.ts'

/** Depths labelled beside the detector, m below the surface of the ice. */
const DEPTHS_M = [1500, 2000, 2400]

/** The cables, from top to bottom sensor. */
export function stringLines(): (readonly [Vector, Vector])[] {
  return Array.from({ length: STRING_COUNT }, (_, string) => {
    const first = string * SENSORS_PER_STRING
    return [sensorAt(first), sensorAt(first + SENSORS_PER_STRING - 1)] as const
  })
}

/** Corners of the detector seen from above, anticlockwise. */
export function outline(): Vector[] {
  const tops = Array.from({ length: STRING_COUNT }, (_, string) => sensorAt(string * SENSORS_PER_STRING))
  const sorted = tops.toSorted((a, b) => a[0] - b[0] || a[1] - b[1])
  return [...halfHull(sorted), ...halfHull(sorted.toReversed())]
}

/** Heights of the labelled depths in detector coordinates. */
export function depthTicks(): { readonly label: string; readonly z: number }[] {
  return DEPTHS_M.map((depth) => ({
    label: `${depth.toLocaleString('en')}\u2009m deep`,
    z: CENTRE_DEPTH_M - depth,
  }))
}

function sensorAt(sensorId: number): Vector {
  const [x, y, z] = sensorPositions.subarray(3 * sensorId, 3 * sensorId + 3)
  return [x, y, z]
}

/** One side of the convex hull of points that are sorted along it (Andrew's monotone chain), without its last point. */
function halfHull(points: readonly Vector[]): Vector[] {
  const hull: Vector[] = []
  for (const point of points) {
    while (hull.length >= 2 && turn(hull[hull.length - 2], hull[hull.length - 1], point) <= 0) hull.pop()
    hull.push(point)
  }
  return hull.slice(0, -1)
}

function turn([ax, ay]: Vector, [bx, by]: Vector, [cx, cy]: Vector): number {
  return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
}
