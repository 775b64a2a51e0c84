import { expect, it } from 'vitest'
import { LogHistogram } from './log-histogram.ts'

it('quantile() is right within 2.5 % over nine decades', () => {
  const histogram = new LogHistogram()
  for (let i = 1; i <= 10_000; i++) histogram.add(i)
  for (const q of [0.01, 0.5, 0.99, 1]) {
    expect(Math.abs(histogram.quantile(q) / (q * 10_000) - 1)).toBeLessThan(0.025)
  }
  expect(histogram.mean).toBeCloseTo(5_000.5)
})

it('add() counts by weight', () => {
  const histogram = new LogHistogram()
  histogram.add(1, 99)
  histogram.add(1_000, 1)
  expect(histogram.count).toBe(100)
  expect(histogram.quantile(0.99)).toBeCloseTo(1, 1)
  expect(histogram.quantile(0.995)).toBeGreaterThan(900)
})

it.each([0, -5, 1e-9, 1e12])('add() keeps a value out of range in the outermost bucket: %s', (value) => {
  const histogram = new LogHistogram()
  histogram.add(value)
  expect(histogram.count).toBe(1)
  expect(Number.isFinite(histogram.quantile(0.5))).toBe(true)
})

it('an empty histogram has no quantile, and what is not a number is not counted', () => {
  const histogram = new LogHistogram()
  histogram.add(Number.NaN)
  expect(histogram.count).toBe(0)
  expect(histogram.quantile(0.5)).toBeNaN()
})
