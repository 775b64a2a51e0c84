import { describe, expect, it } from 'vitest'
import { quantile, summarise, summariseByBin } from './angular-errors.ts'

describe('summarise()', () => {
  it('gives mean, median and quantiles of known angles', () => {
    const summary = summarise(Float64Array.of(0.4, 0.1, 0.3, 0.2, 1.0))
    expect(summary).toMatchObject({ events: 5, median: 0.3, p25: 0.2, p75: 0.4 })
    expect(summary?.mean).toBeCloseTo(0.4, 12)
    expect(summary?.p90).toBeCloseTo(0.76, 12)
  })

  it('gives the 95 % interval of the mean from the scatter', () => {
    const summary = summarise(Float64Array.of(1, 2, 3, 4))
    expect(summary?.meanUncertainty).toBeCloseTo((1.96 * Math.sqrt(5 / 3)) / 2, 12)
  })

  it('has nothing to say of no events', () => {
    expect(summarise(new Float64Array(0))).toBeUndefined()
  })
})

describe('quantile()', () => {
  it('interpolates between neighbours', () => {
    expect(quantile(Float64Array.of(0, 10), 0.25)).toBe(2.5)
  })
})

describe('summariseByBin()', () => {
  it('puts a value on an edge into the upper bin, and the last edge into the last bin', () => {
    const bins = summariseByBin(Float64Array.of(1, 2, 3), Float64Array.of(0, 5, 10), [0, 5, 10])
    expect(bins.map((bin) => bin.summary?.events)).toEqual([1, 2])
    expect(bins[1].summary?.mean).toBe(2.5)
  })
})
