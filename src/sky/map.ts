import { type Mixture, toVector } from './distribution.ts'
import { centreOf, ORDER_MAX, pixelArea, toUniq } from './healpix.ts'

/** A multi-order map: pixels of several sizes that cover the sky once. */
export interface SkyMap {
  /** Ascending. [pixels] */
  readonly uniq: Float64Array
  /** Probability per steradian; the map integrates to 1. [pixels] */
  readonly density: Float64Array
  /** Area of each pixel, sr. [pixels] */
  readonly area: Float64Array
  /** Order of the smallest pixels. */
  readonly orderMax: number
}

export interface MapOptions {
  /** A pixel that holds more than this is divided. Default 3e-4, which gives areas within 0.02 %. */
  readonly probabilityMax?: number
}

const PROBABILITY_MAX = 3e-4
/** The finest order is at least this. */
const ORDER_MIN = 5
/** Pixels are divided to this many orders beyond the size of the narrowest component. */
const ORDERS_BEYOND = 3
/** Degrees of a pixel's side at order 0. */
const SIDE_DEGREES = 58.6
/** A pixel's density is the mean over 4^this places in it. */
const SUB_ORDERS = 2
/** Beyond this many widths, a component's contribution justifies no further division. */
const NEAR_WIDTHS = 6

/** Divides the sky until no pixel holds more than the given share of the probability. */
export function toSkyMap(mixture: Mixture, options: MapOptions = {}): SkyMap {
  const { probabilityMax = PROBABILITY_MAX } = options
  const orderMax = finestOrder(mixture)
  const pixels: { uniq: number; density: number; area: number; order: number }[] = []
  const stack = Array.from({ length: 12 }, (_, pixel) => ({ order: 0, pixel }))
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { order, pixel } = next
    const density = meanDensity(mixture, order, pixel)
    const area = pixelArea(order)
    const isDivided = order < orderMax && (density * area > probabilityMax || isCoarse(mixture, order, pixel))
    if (isDivided)
      for (let child = 0; child < 4; child++) stack.push({ order: order + 1, pixel: 4 * pixel + child })
    else pixels.push({ uniq: toUniq(order, pixel), density, area, order })
  }
  pixels.sort((a, b) => a.uniq - b.uniq)
  const total = pixels.reduce((sum, { density, area }) => sum + density * area, 0)
  return {
    uniq: Float64Array.from(pixels, ({ uniq }) => uniq),
    density: Float64Array.from(pixels, ({ density }) => density / total),
    area: Float64Array.from(pixels, ({ area }) => area),
    orderMax: pixels.reduce((most, { order }) => Math.max(most, order), 0),
  }
}

/** Area of the smallest region that holds a share of the probability, sr; the last pixel is cut. */
export function regionArea({ density, area }: SkyMap, share: number): number {
  const order = Uint32Array.from(density, (_, i) => i).sort((a, b) => density[b] - density[a])
  let [probability, sum] = [0, 0]
  for (const i of order) {
    const more = density[i] * area[i]
    if (probability + more >= share) return sum + (area[i] * (share - probability)) / more
    probability += more
    sum += area[i]
  }
  return sum
}

function finestOrder({ components }: Mixture): number {
  const kappa = Math.max(1, ...components.map((component) => component.kappa))
  const order = Math.ceil(Math.log2((SIDE_DEGREES * Math.PI * Math.sqrt(kappa)) / 180)) + ORDERS_BEYOND
  return Math.min(ORDER_MAX - SUB_ORDERS, Math.max(ORDER_MIN, order))
}

function meanDensity(mixture: Mixture, order: number, pixel: number): number {
  const parts = 4 ** SUB_ORDERS
  let sum = 0
  for (let part = 0; part < parts; part++)
    sum += mixture.densityAt(toVector(centreOf(order + SUB_ORDERS, parts * pixel + part)))
  return sum / parts
}

/**
 * Whether a pixel is large compared with a component in or near it: the density varies too much within the pixel to be
 * estimated from a few points.
 */
function isCoarse({ axes, components }: Mixture, order: number, pixel: number): boolean {
  const [x, y, z] = toVector(centreOf(order, pixel))
  const side = (SIDE_DEGREES * Math.PI) / 180 / 2 ** order
  return axes.some(([mx, my, mz], i) => {
    const { kappa } = components[i]
    const width = 1 / Math.sqrt(Math.max(kappa, 1))
    if (side < width) return false
    const apart = 2 * Math.asin(Math.min(1, Math.hypot(x - mx, y - my, z - mz) / 2))
    return apart < side + NEAR_WIDTHS * width
  })
}
