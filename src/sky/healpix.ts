/**
 * HEALPix in the nested order (Górski et al. 2005, ApJ 622, 759). Pure; also runs in the browser.
 *
 * A pixel is named by its order and its index. Order `o` has 12 × 4^o pixels of equal area. Indices are numbers, which are
 * exact up to order 24.
 */

/** The highest order whose indices and UNIQ numbers are exact. */
export const ORDER_MAX = 24

const TAU = 2 * Math.PI
/** Row of each base pixel, counted from the north, and its place within the row. */
const FACE_ROW = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4] as const
const FACE_PLACE = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7] as const
/** Closer to a pole than this (sine of declination) another formula keeps more digits. */
const POLAR_Z = 0.99

/** A sky position, radians. */
export interface SkyPlace {
  readonly rightAscension: number
  readonly declination: number
}

export function pixelCount(order: number): number {
  return 12 * 4 ** order
}

/** Area of a pixel, sr. */
export function pixelArea(order: number): number {
  return (4 * Math.PI) / pixelCount(order)
}

/** One number for order and index (IVOA MOC): UNIQ = 4 × 4^order + index. */
export function toUniq(order: number, pixel: number): number {
  return 4 * 4 ** order + pixel
}

/** @throws RangeError for a number that is not the UNIQ of a pixel */
export function fromUniq(uniq: number): { readonly order: number; readonly pixel: number } {
  for (let order = 0; order <= ORDER_MAX; order++) {
    const pixel = uniq - 4 * 4 ** order
    if (pixel >= 0 && pixel < pixelCount(order)) return { order, pixel }
  }
  throw new RangeError(`${uniq} is the UNIQ number of no pixel up to order ${ORDER_MAX}`)
}

/** The nested index of the pixel that contains a position. */
export function pixelOf({ rightAscension, declination }: SkyPlace, order: number): number {
  const n = 2 ** order
  const z = Math.sin(declination)
  const turns = (((rightAscension % TAU) + TAU) % TAU) / (Math.PI / 2)
  if (Math.abs(z) <= 2 / 3) {
    const [a, b] = [n * (0.5 + turns), 0.75 * n * z]
    const [p, m] = [Math.floor(a - b), Math.floor(a + b)]
    const [facesP, facesM] = [Math.floor(p / n), Math.floor(m / n)]
    const face = facesP === facesM ? (facesP % 4) + 4 : facesP < facesM ? facesP % 4 : (facesM % 4) + 8
    return nested(face, m % n, n - 1 - (p % n), n)
  }
  const quarter = Math.min(3, Math.floor(turns))
  const rest = turns - quarter
  const polar = Math.abs(z) > POLAR_Z
  const q = polar
    ? (n * Math.cos(declination)) / Math.sqrt((1 + Math.abs(z)) / 3)
    : n * Math.sqrt(3 * (1 - Math.abs(z)))
  const p = Math.min(Math.floor(rest * q), n - 1)
  const m = Math.min(Math.floor((1 - rest) * q), n - 1)
  return z > 0 ? nested(quarter, n - 1 - m, n - 1 - p, n) : nested(quarter + 8, p, m, n)
}

/** The centre of a pixel. */
export function centreOf(order: number, pixel: number): SkyPlace {
  const n = 2 ** order
  const face = Math.floor(pixel / (n * n))
  const [x, y] = coordinates(pixel - face * n * n)
  const row = FACE_ROW[face] * n - x - y - 1
  const isNorth = row < n
  const isSouth = row > 3 * n
  const inRow = isNorth ? row : isSouth ? 4 * n - row : n
  const shift = isNorth || isSouth ? 0 : (row - n) & 1
  const wrap = (place: number): number => (place > 4 * n ? place - 4 * n : place < 1 ? place + 4 * n : place)
  const place = wrap((FACE_PLACE[face] * inRow + x - y + 1 + shift) / 2)
  const rightAscension = ((place - (shift + 1) / 2) * Math.PI) / (2 * inRow)
  if (!isNorth && !isSouth) return { rightAscension, declination: Math.asin(((2 * n - row) * 2) / (3 * n)) }
  // In the caps the cosine is computed by itself: 1 - z would lose digits near the pole.
  const t = (inRow * inRow) / (3 * n * n)
  const declination = Math.atan2(1 - t, Math.sqrt(t * (2 - t)))
  return { rightAscension, declination: isNorth ? declination : -declination }
}

function nested(face: number, x: number, y: number, n: number): number {
  let index = 0
  let scale = 1
  for (let i = x, j = y, size = n; size > 1; size /= 2) {
    index += scale * ((i % 2) + 2 * (j % 2))
    i = Math.floor(i / 2)
    j = Math.floor(j / 2)
    scale *= 4
  }
  return face * n * n + index
}

/** Bits of x are at even places of an index, those of y at odd ones. */
function coordinates(index: number): readonly [x: number, y: number] {
  let [x, y, scale] = [0, 0, 1]
  for (let rest = index; rest > 0; rest = Math.floor(rest / 4)) {
    const digit = rest % 4
    x += scale * (digit % 2)
    y += scale * (digit >> 1)
    scale *= 2
  }
  return [x, y]
}
