import { expect, it } from 'vitest'
import { angularDistance } from './direction.ts'
import { openingAngles } from './opening-angles.ts'

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
