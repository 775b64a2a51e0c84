import { describe, expect, it } from 'vitest'
import { Random } from '../simulator/random.ts'
import { meanInterval, medianInterval, quantile } from './statistics.ts'

const options = { seed: 1, resamples: 1000 }

function draws(count: number, draw: (random: Random) => number, seed = 5): Float64Array {
  const random = new Random()
  random.restart(seed, 0)
  return Float64Array.from({ length: count }, () => draw(random)).sort()
}

describe('meanInterval()', () => {
  it('is as wide as the scatter of the values predicts', () => {
    const values = draws(4000, (random) => random.normal())
    const [low, high] = meanInterval(values, options)
    expect((high - low) / 2).toBeCloseTo(1.96 / Math.sqrt(4000), 2)
    const mean = values.reduce((sum, value) => sum + value, 0) / 4000
    expect((high + low) / 2).toBeCloseTo(mean, 2)
  })

  it('covers the truth in about 95 % of cases', () => {
    let covered = 0
    for (let trial = 0; trial < 200; trial++) {
      const [low, high] = meanInterval(
        draws(100, (random) => random.exponential(), trial),
        { seed: 1000 + trial, resamples: 200 },
      )
      if (low <= 1 && 1 <= high) covered++
    }
    expect(covered).toBeGreaterThan(178)
    expect(covered).toBeLessThan(199)
  })

  it('is the same for the same seed and differs for another', () => {
    const values = draws(100, (random) => random.normal())
    expect(meanInterval(values, options)).toEqual(meanInterval(values, options))
    expect(meanInterval(values, options)).not.toEqual(meanInterval(values, { ...options, seed: 2 }))
  })

  it('keeps its width when there are more values than draws', () => {
    const values = draws(400_000, (random) => random.normal())
    const [low, high] = meanInterval(values, { seed: 1, resamples: 60 })
    const expected = 1.96 / Math.sqrt(400_000)
    expect((high - low) / 2 / expected).toBeGreaterThan(0.7)
    expect((high - low) / 2 / expected).toBeLessThan(1.3)
  })

  it('is null without values, and a point for one value', () => {
    expect(meanInterval(new Float64Array(0), options)).toEqual([Number.NaN, Number.NaN])
    expect(meanInterval(Float64Array.of(3), options)).toEqual([3, 3])
  })
})

/** A bootstrap of the median that draws every resample. */
function plainMedianInterval(sorted: Float64Array, resamples: number): [number, number] {
  const random = new Random()
  random.restart(9, 9)
  const medians = Float64Array.from({ length: resamples }, () =>
    quantile(sorted.map(() => sorted[Math.floor(random.uniform() * sorted.length)]).sort(), 0.5),
  ).sort()
  return [quantile(medians, 0.025), quantile(medians, 0.975)]
}

describe('medianInterval()', () => {
  it.each([3, 10, 11, 200, 201])('of %i values is that of resamples drawn one by one', (count) => {
    const values = draws(count, (random) => random.exponential())
    const plain = plainMedianInterval(values, 4000)
    const [low, high] = medianInterval(values, { seed: 1, resamples: 4000 })
    const width = plain[1] - plain[0]
    expect(Math.abs(low - plain[0])).toBeLessThan(0.1 * width)
    expect(Math.abs(high - plain[1])).toBeLessThan(0.1 * width)
  })

  it('is null without values, and a point for one value', () => {
    expect(medianInterval(new Float64Array(0), options)).toEqual([Number.NaN, Number.NaN])
    expect(medianInterval(Float64Array.of(3), options)).toEqual([3, 3])
  })
})
