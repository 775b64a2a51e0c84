import { describe, expect, it } from 'vitest'
import { buildNormalise, rememberCharges } from './features.ts'

describe('buildNormalise()', () => {
  const charge = { column: 'charge', unit: 'p.e.', offset: 0.5, scale: 4 } as const

  it.each([
    { name: 'no transform', transform: undefined, value: 10.5, expected: 2.5 },
    { name: 'log10', transform: 'log10', value: 1000, expected: 0.625 },
    { name: 'ln', transform: 'ln', value: Math.E ** 3, expected: 0.625 },
    { name: 'log1p', transform: 'log1p', value: Math.E ** 3 - 1, expected: 0.625 },
    { name: 'asinh', transform: 'asinh', value: (Math.E ** 3 - Math.E ** -3) / 2, expected: 0.625 },
  ] as const)(
    'subtracts the offset after $name, then divides by the scale',
    ({ transform, value, expected }) => {
      expect(buildNormalise({ ...charge, transform })(value)).toBeCloseTo(expected, 12)
    },
  )

  it('clips last', () => {
    const clipped = buildNormalise({ ...charge, clip: [-1, 2] })
    expect([-100, 4.5, 100].map(clipped)).toEqual([-1, 1, 2])
  })
})

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
