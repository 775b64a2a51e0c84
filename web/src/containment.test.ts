import { describe, expect, it } from 'vitest'
import { containmentRadius } from './containment.ts'

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

describe('containmentRadius()', () => {
  it.each([0, 0.01, 1, 5, 50, 4_000])(
    'holds the direction with the wanted probability at kappa %d',
    (kappa) => {
      for (const share of [0.5, 0.9]) {
        expect(probabilityWithin(kappa, containmentRadius(kappa, share))).toBeCloseTo(share, 4)
      }
    },
  )

  it('is half and nine tenths of the sphere where nothing is known', () => {
    expect(containmentRadius(0, 0.5)).toBeCloseTo(Math.PI / 2, 12)
    expect(Math.cos(containmentRadius(0, 0.9))).toBeCloseTo(-0.8, 12)
  })

  it('keeps its digits where the direction is known well', () => {
    const kappa = 1e12
    expect(containmentRadius(kappa, 0.5) / Math.sqrt((2 * Math.LN2) / kappa)).toBeCloseTo(1, 10)
  })
})
