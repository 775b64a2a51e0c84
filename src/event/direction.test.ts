import { describe, expect, it } from 'vitest'
import { angularDistance, openingAngles, vmfProbability, vmfRadius } from './direction.ts'

const DIRECTIONS = [
  { azimuth: 0, zenith: 0 },
  { azimuth: 1, zenith: Math.PI },
  { azimuth: 6.2, zenith: 1.2 },
  { azimuth: 0.1, zenith: 1.3 },
  { azimuth: 3, zenith: 2.9 },
]

it('openingAngles() equals angularDistance() on every pair', () => {
  for (const a of DIRECTIONS) {
    const same = {
      azimuth: Float64Array.from(DIRECTIONS, () => a.azimuth),
      zenith: Float64Array.from(DIRECTIONS, () => a.zenith),
    }
    const others = {
      azimuth: Float64Array.from(DIRECTIONS, (d) => d.azimuth),
      zenith: Float64Array.from(DIRECTIONS, (d) => d.zenith),
    }
    for (const [i, angle] of openingAngles(same, others).entries()) {
      expect(angle).toBeCloseTo(angularDistance(a, DIRECTIONS[i]), 14)
    }
  }
})

it('openingAngles() keeps full precision for small angles', () => {
  const at = (zenith: number) => ({ azimuth: Float64Array.of(1), zenith: Float64Array.of(zenith) })
  expect(openingAngles(at(1), at(1 + 1e-9))[0]).toBeCloseTo(1e-9, 14)
})

it('openingAngles() of an event without truth is NaN', () => {
  const a = { azimuth: Float64Array.of(1), zenith: Float64Array.of(1) }
  const b = { azimuth: Float64Array.of(Number.NaN), zenith: Float64Array.of(Number.NaN) }
  expect(openingAngles(a, b)[0]).toBeNaN()
})

describe('vmfProbability()', () => {
  it('is 0 at 0, 1 at π, and half at the median of the closed form', () => {
    for (const kappa of [1e-12, 0.01, 1, 30, 1e5]) {
      expect(vmfProbability(0, kappa)).toBe(0)
      expect(vmfProbability(Math.PI, kappa)).toBeCloseTo(1, 12)
    }
    const kappa = 3
    const median = Math.acos(1 + Math.log((1 + Math.exp(-2 * kappa)) / 2) / kappa)
    expect(vmfProbability(median, kappa)).toBeCloseTo(0.5, 12)
  })

  it('is the share of the sphere where nothing is known', () => {
    expect(vmfProbability(Math.PI / 2, 0)).toBeCloseTo(0.5, 12)
    expect(vmfProbability(Math.PI / 3, 0)).toBeCloseTo(0.25, 12)
  })
})

describe('vmfRadius()', () => {
  it('is the inverse of vmfProbability()', () => {
    for (const kappa of [0, 1e-6, 0.5, 7, 1e4]) {
      for (const share of [0.01, 0.5, 0.9, 0.999])
        expect(vmfProbability(vmfRadius(share, kappa), kappa)).toBeCloseTo(share, 9)
    }
  })

  it('is near 1.177 and 2.146 over the root of a large kappa', () => {
    expect(vmfRadius(0.5, 1e6) * 1000).toBeCloseTo(1.1774, 3)
    expect(vmfRadius(0.9, 1e6) * 1000).toBeCloseTo(2.146, 3)
  })
})

/** Probability within a radius, integrated over rings, in nothing like the closed form. */
function probabilityWithin(kappa: number, radius: number): number {
  const weight = (angle: number) => Math.exp(kappa * (Math.cos(angle) - 1)) * Math.sin(angle)
  const integral = (to: number) => {
    const steps = 200_000
    let sum = 0
    for (let i = 0; i < steps; i++) sum += weight(((i + 0.5) / steps) * to)
    return (sum * to) / steps
  }
  return integral(radius) / integral(Math.PI)
}

describe('vmfRadius() against a numerical integral', () => {
  it.each([0, 0.01, 1, 5, 50, 4_000])(
    'holds the direction with the wanted probability at kappa %d',
    (kappa) => {
      for (const share of [0.5, 0.9]) {
        expect(probabilityWithin(kappa, vmfRadius(share, kappa))).toBeCloseTo(share, 4)
      }
    },
  )

  it('is half and nine tenths of the sphere where nothing is known', () => {
    expect(vmfRadius(0.5, 0)).toBeCloseTo(Math.PI / 2, 12)
    expect(Math.cos(vmfRadius(0.9, 0))).toBeCloseTo(-0.8, 12)
  })

  it('keeps its digits where the direction is known well', () => {
    const kappa = 1e12
    expect(vmfRadius(0.5, kappa) / Math.sqrt((2 * Math.LN2) / kappa)).toBeCloseTo(1, 10)
  })
})
