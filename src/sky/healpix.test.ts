import { describe, expect, it } from 'vitest'
import { centreOf, fromUniq, pixelCount, pixelOf, toUniq } from './healpix.ts'

const DEGREE = Math.PI / 180

/** Order, place in degrees, nested index and centre in degrees, as healpy 1.20.1 and astropy-healpix 2.0.1 give them. */
const REFERENCE = [
  [0, 0, 0, 4, 0, 0],
  [0, 45, 89.9, 0, 45, 41.810314896],
  [1, 138.6546, 0.1418, 26, 157.5, 0],
  [3, 345.82, 9.01, 301, 343.125, 9.594068227],
  [5, 94.3, -7.8, 5342, 94.21875, -7.180755781],
  [6, 213.619684, -47.560045, 43291, 213.947368421, -47.357576233],
  [8, 77.3582, 5.6931, 368255, 77.34375, 5.82915328],
  [8, 359.9999, -0.0001, 278527, 0, -0.149207928],
  [10, 266.4168, -29.0078, 7380516, 266.396484375, -29.014178602],
  [11, 10.4605, -41.8103, 36329046, 10.480957031, -41.810314896],
  [12, 0, 90, 16777215, 45, 89.98857866],
  [12, 0, -90, 134217728, 45, -89.98857866],
  [15, 192.8595, 27.1283, 7379233696, 192.85949707, 27.128885811],
  [20, 83.6331, 22.0145, 6492267963773, 83.633122444, 22.014489364],
  [24, 24.422, 33.1597, 154337870493479, 24.422001243, 33.159700318],
] as const

describe('HEALPix', () => {
  it.each(REFERENCE)('order %d holds RA %d, Dec %d in pixel %d', (...row) => {
    const [order, ra, dec, pixel, centreRa, centreDec] = row
    expect(pixelOf({ rightAscension: ra * DEGREE, declination: dec * DEGREE }, order)).toBe(pixel)
    const centre = centreOf(order, pixel)
    expect(centre.rightAscension / DEGREE).toBeCloseTo(centreRa, 8)
    expect(centre.declination / DEGREE).toBeCloseTo(centreDec, 8)
  })

  it('finds every pixel from its centre', () => {
    for (const order of [0, 1, 2, 3, 4])
      for (let pixel = 0; pixel < pixelCount(order); pixel++)
        expect(pixelOf(centreOf(order, pixel), order)).toBe(pixel)
    for (let i = 0; i < 500; i++) {
      const order = 5 + (i % 20)
      const pixel = Math.floor((((i * 7919) % 9973) / 9973) * pixelCount(order))
      expect(pixelOf(centreOf(order, pixel), order)).toBe(pixel)
    }
  })

  it('accepts right ascension outside 0 to 2π', () => {
    const place = { rightAscension: 1, declination: 0.5 }
    for (const turns of [-2, -1, 1, 3])
      expect(pixelOf({ ...place, rightAscension: 1 + turns * 2 * Math.PI }, 8)).toBe(pixelOf(place, 8))
  })

  it('identifies a pixel by one number', () => {
    expect(toUniq(0, 11)).toBe(15)
    expect(toUniq(1, 0)).toBe(16)
    for (const [order, pixel] of [
      [0, 0],
      [3, 301],
      [24, pixelCount(24) - 1],
    ])
      expect(fromUniq(toUniq(order, pixel))).toEqual({ order, pixel })
    expect(() => fromUniq(3)).toThrow(RangeError)
  })
})
