import { geoArea, geoCircle, geoDistance } from 'd3-geo'
import { describe, expect, it } from 'vitest'
import type { SkyPoints } from '../../src/display/messages.ts'
import {
  circleLine,
  circleOf,
  circleOpacity,
  frameOf,
  nearest,
  placeIn,
  placeOf,
  skyProjection,
  toLonLat,
} from './sky.ts'

const DEGREES = 180 / Math.PI

function pointsOf(changes: Partial<SkyPoints> = {}): SkyPoints {
  return { azimuth: [1], zenith: [1], kappa: [null], predictedAtMs: [0], key: [null], ...changes }
}

describe('skyProjection()', () => {
  const projection = skyProjection(800, 400, 'detector')

  /** Area of a small square of the sphere in the picture, per steradian. */
  function areaAt(lon: number, lat: number): number {
    const step = 0.01
    const height = step
    const width = step / Math.cos(lat / DEGREES)
    const at = (x: number, y: number) => projection([lon + x, lat + y]) ?? [0, 0]
    const [a, b, c] = [at(-width, -height), at(width, -height), at(-width, height)]
    return Math.abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
  }

  it('gives equal areas to equal parts of the sky', () => {
    const middle = areaAt(180, 0)
    for (const [lon, lat] of [
      [30, 10],
      [300, 60],
      [185, -80],
      [90, -45],
    ]) {
      expect(areaAt(lon, lat) / middle).toBeCloseTo(1, 2)
    }
  })

  it('is twice as wide as high', () => {
    const [left] = projection([0.001, 0]) ?? [0, 0]
    const [, top] = projection([180, 90]) ?? [0, 0]
    expect((400 - left) / (200 - top)).toBeCloseTo(2, 3)
  })

  it('has straight down-going at the top, and azimuth increasing to the right', () => {
    const [, top] = projection([180, 90]) ?? [0, 0]
    const [, bottom] = projection([180, -90]) ?? [0, 0]
    const [left] = projection([90, 0]) ?? [0, 0]
    const [right] = projection([270, 0]) ?? [0, 0]
    expect(top).toBeLessThan(bottom)
    expect(left).toBeLessThan(right)
    expect(projection([180, 0])).toEqual([400, 200])
  })

  it('has right ascension increasing to the left, as the sky is seen from inside', () => {
    const equatorial = skyProjection(800, 400, 'equatorial')
    const [left] = equatorial([90, 0]) ?? [0, 0]
    const [right] = equatorial([270, 0]) ?? [0, 0]
    expect(left).toBeGreaterThan(right)
  })

  it('contains the whole sky', () => {
    for (let lon = 1; lon < 360; lon += 13) {
      for (let lat = -90; lat <= 90; lat += 15) {
        const [x, y] = projection([lon, lat]) ?? [-1, -1]
        expect(x >= 0 && x <= 800 && y >= 0 && y <= 400).toBe(true)
      }
    }
  })
})

describe('positions on the map', () => {
  it('are the directions of the source', () => {
    expect(toLonLat({ azimuth: 0, zenith: 0 })).toEqual([0, 90])
    const [lon, lat] = toLonLat({ azimuth: 3.5, zenith: Math.PI / 2 })
    expect(lon).toBeCloseTo(3.5 * DEGREES - 360, 9)
    expect(lat).toBeCloseTo(0, 9)
  })

  it('are equatorial only if the stream carries UTC', () => {
    expect(frameOf(pointsOf())).toBe('detector')
    const withUtc = pointsOf({ utcMs: [Date.UTC(2026, 0, 1)] })
    expect(frameOf(withUtc)).toBe('equatorial')
    expect(placeOf(withUtc, 0)).not.toEqual(placeOf(pointsOf(), 0))
    expect(placeIn('equatorial', { azimuth: 1, zenith: 1 }, undefined)).toBeUndefined()
  })

  it('are ICRS, as in the notice that IceCube published of event 138632/31747601', () => {
    const direction = { azimuth: 4.87687, zenith: 1.57163 }
    const [lon, lat] = placeIn('equatorial', direction, Date.UTC(2023, 11, 2, 17, 8, 24, 93)) ?? [0, 0]
    expect(lon).toBeCloseTo(138.6545, 3)
    expect(lat).toBeCloseTo(0.1418, 3)
  })

  it('have a circle that contains half of the probability, if it is known', () => {
    expect(circleOf([0, 0], null)).toBeUndefined()
    const circle = circleOf([10, 20], 0)
    const area = geoArea(
      geoCircle()
        .center([10, 20])
        .radius((circle?.radiusDegrees ?? 0) - 1e-6)(),
    )
    expect(area / (4 * Math.PI)).toBeCloseTo(0.5, 3)
  })
})

describe('nearest()', () => {
  it('finds points within reach that can be opened', () => {
    const places = [[10, 10], null, [20, 10]] as const
    expect(nearest(places, [17, 10], 12)).toBe(2)
    expect(nearest(places, [100, 10], 12)).toBeUndefined()
    expect(nearest([], [0, 0], 12)).toBeUndefined()
  })
})

describe('circleLine()', () => {
  it('surrounds its centre at its radius, as a line and not as a filled shape', () => {
    const centre: [number, number] = [170, -50]
    const { type, coordinates } = circleLine({ centre, radiusDegrees: 72 })
    expect(type).toBe('LineString')
    expect(coordinates.length).toBeGreaterThan(60)
    for (const place of coordinates) expect(geoDistance(centre, place) * DEGREES).toBeCloseTo(72, 6)
  })
})

describe('circleOpacity()', () => {
  it('is stronger for newer events and for smaller uncertainties', () => {
    const of = (radiusDegrees: number, newness: number) =>
      circleOpacity({ centre: [0, 0], radiusDegrees }, newness)
    expect(of(5, 1)).toBeCloseTo(0.95)
    expect(of(5, 0.1)).toBeLessThan(of(5, 1) / 2)
    expect(of(80, 1)).toBeLessThan(of(5, 1) / 3)
  })
})
