import { describe, expect, it } from 'vitest'
import { buildNormalise, rememberCharges } from './normalise.ts'

describe('rememberCharges()', () => {
  it('answers as the function itself does, also for charges that share a place', () => {
    const normalise = buildNormalise({
      column: 'charge',
      unit: 'p.e.',
      transform: 'log10',
      offset: 0.5,
      scale: 2,
    })
    const remembered = rememberCharges(normalise)
    // Steps of the digitised charges, far beyond the places that there are, and values between the steps.
    const charges = Float32Array.from(
      { length: 9000 },
      (_, i) => (i % 3000) * 0.05 + (i % 7 === 0 ? 0.031 : 0.025),
    )
    for (const charge of charges) expect(remembered(charge)).toBe(normalise(charge))
  })

  it('keeps no answer of an impossible charge', () => {
    const remembered = rememberCharges(Math.log10)
    expect(remembered(Number.NaN)).toBeNaN()
    expect(remembered(0)).toBe(Number.NEGATIVE_INFINITY)
    expect(remembered(-0.05)).toBeNaN()
    expect(remembered(Math.fround(0.025))).toBe(Math.log10(Math.fround(0.025)))
  })
})
