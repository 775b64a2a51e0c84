export type Vector = readonly [number, number, number]

export function plus([ax, ay, az]: Vector, [bx, by, bz]: Vector): Vector {
  return [ax + bx, ay + by, az + bz]
}

export function minus([ax, ay, az]: Vector, [bx, by, bz]: Vector): Vector {
  return [ax - bx, ay - by, az - bz]
}

export function times([x, y, z]: Vector, factor: number): Vector {
  return [x * factor, y * factor, z * factor]
}

export function dot([ax, ay, az]: Vector, [bx, by, bz]: Vector): number {
  return ax * bx + ay * by + az * bz
}

export function cross([ax, ay, az]: Vector, [bx, by, bz]: Vector): Vector {
  return [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]
}

/** The unit vector along a vector of any length above 0. */
export function unit(vector: Vector): Vector {
  return times(vector, 1 / Math.hypot(...vector))
}

/** Two unit vectors perpendicular to `axis`, a unit vector, and to each other. */
export function across(axis: Vector): readonly [Vector, Vector] {
  const first = unit(cross(axis, Math.abs(axis[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0]))
  return [first, cross(axis, first)]
}
