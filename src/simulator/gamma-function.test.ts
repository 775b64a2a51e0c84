import { expect, it } from 'vitest'
import { gammaShareBelow, logGamma } from './gamma-function.ts'

it('logGamma() has the logarithms of factorials and of the root of pi', () => {
  expect(logGamma(6)).toBeCloseTo(Math.log(120), 9)
  expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.PI) / 2, 9)
})

it('gammaShareBelow() is the exponential and the Erlang distribution where the shape is 1 and 3', () => {
  expect(gammaShareBelow(1, -1)).toBe(0)
  for (const x of [0.01, 0.5, 2, 10]) {
    expect(gammaShareBelow(1, x)).toBeCloseTo(1 - Math.exp(-x), 8)
    expect(gammaShareBelow(3, x)).toBeCloseTo(1 - Math.exp(-x) * (1 + x + x ** 2 / 2), 8)
  }
})
