export interface Vector {
  readonly x: number
  readonly y: number
  readonly z: number
}

/** Places of pulses, m. The first `count` of each array are valid. */
export interface Places {
  readonly count: number
  readonly x: Float64Array
  readonly y: Float64Array
  readonly z: Float64Array
}

/** Squaring the covariance this often raises it to the power 1,024, which leaves only its largest axis. */
const SQUARINGS = 10
/** A total variance (m²) below which the places are one point. */
const VARIANCE_MIN = 1e-3

/** Longest axis of the places, its upper end; straight up where they are one point. Length above 0. */
export function principalAxis(places: Places): Vector {
  let [xx, xy, xz, yy, yz, zz] = covariance(places)
  if (!(xx + yy + zz >= VARIANCE_MIN)) return { x: 0, y: 0, z: 1 }
  for (let squaring = 0; squaring < SQUARINGS; squaring++) {
    const scale = 1 / (xx + yy + zz) ** 2
    ;[xx, xy, xz, yy, yz, zz] = [
      (xx * xx + xy * xy + xz * xz) * scale,
      (xx * xy + xy * yy + xz * yz) * scale,
      (xx * xz + xy * yz + xz * zz) * scale,
      (xy * xy + yy * yy + yz * yz) * scale,
      (xy * xz + yy * yz + yz * zz) * scale,
      (xz * xz + yz * yz + zz * zz) * scale,
    ]
  }
  // Each column is now along the axis; the one with the largest diagonal is the longest.
  if (zz >= xx && zz >= yy) return upperEnd(xz, yz, zz)
  return yy >= xx ? upperEnd(xy, yy, yz) : upperEnd(xx, xy, xz)
}

function upperEnd(x: number, y: number, z: number): Vector {
  return z < 0 ? { x: -x, y: -y, z: -z } : { x, y, z }
}

/** xx, xy, xz, yy, yz, zz. */
function covariance({ count, x, y, z }: Places): [number, number, number, number, number, number] {
  let [mx, my, mz] = [0, 0, 0]
  for (let i = 0; i < count; i++) {
    mx += x[i] / count
    my += y[i] / count
    mz += z[i] / count
  }
  let [xx, xy, xz, yy, yz, zz] = [0, 0, 0, 0, 0, 0]
  for (let i = 0; i < count; i++) {
    const [dx, dy, dz] = [x[i] - mx, y[i] - my, z[i] - mz]
    xx += (dx * dx) / count
    xy += (dx * dy) / count
    xz += (dx * dz) / count
    yy += (dy * dy) / count
    yz += (dy * dz) / count
    zz += (dz * dz) / count
  }
  return [xx, xy, xz, yy, yz, zz]
}
