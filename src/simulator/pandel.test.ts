import { expect, it } from 'vitest'
import { delayRate, delayShape, drawDelay, effectiveDistance } from './pandel.ts'
import { Random } from './random.ts'

// Mean and spread of the delay, ns, of model H2 for light with cos η = 0.7, computed independently (facts: 2 to 3 digits).
it.each([
  { d: 10, mean: 82, spread: 142 },
  { d: 20, mean: 144, spread: 188 },
  { d: 50, mean: 331, spread: 286 },
  { d: 100, mean: 642, spread: 398 },
])('drawDelay() has the mean and spread of the Pandel function at $d m', ({ d, mean, spread }) => {
  const random = new Random()
  random.restart(3, d)
  const shape = delayShape(effectiveDistance(d, 0.7), 1 / 23.9)
  const rate = delayRate(1 / 98)
  const delays = Float64Array.from({ length: 60_000 }, () => drawDelay(random, shape, rate))
  const gotMean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length
  const gotSpread = Math.sqrt(delays.reduce((sum, delay) => sum + (delay - gotMean) ** 2, 0) / delays.length)
  expect(gotMean / mean).toBeCloseTo(1, 1.3)
  expect(gotSpread / spread).toBeCloseTo(1, 1.3)
  expect(Math.min(...delays)).toBeGreaterThanOrEqual(0)
})

it('dirtier ice delays light more', () => {
  expect(delayShape(50, 1 / 7)).toBeGreaterThan(3 * delayShape(50, 1 / 30))
})
