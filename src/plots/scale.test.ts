import { describe, expect, it } from 'vitest'
import { buildScale } from './scale.ts'

const labels = (axis: object, values: number[] = []) =>
  buildScale({ label: 'v', ...axis }, values).ticks.map(({ label }) => label)

describe('buildScale()', () => {
  it('maps values to positions between the ends', () => {
    expect(buildScale({ label: 'v', min: 0, max: 4 }, []).toShare(1)).toBeCloseTo(0.25, 12)
    expect(buildScale({ label: 'v', scale: 'log', min: 0.1, max: 1000 }, []).toShare(10)).toBeCloseTo(0.5, 12)
    expect(buildScale({ label: 'v', scale: 'log', min: 1, max: 10 }, []).toShare(0)).toBeNaN()
  })

  it('derives its ends from the data, with a margin', () => {
    const scale = buildScale({ label: 'v' }, [0, 10, Number.NaN])
    expect(scale.toShare(0)).toBeCloseTo(0.5 / 11, 12)
    expect(scale.toShare(10)).toBeCloseTo(10.5 / 11, 12)
  })

  it('labels round numbers', () => {
    expect(labels({ min: 0, max: 1 })).toEqual(['0.0', '0.2', '0.4', '0.6', '0.8', '1.0'])
    expect(labels({ min: -60, max: 60, tickStep: 30 })).toEqual(['−60', '−30', '0', '30', '60'])
    expect(labels({ scale: 'log', min: 0.1, max: 180 })).toEqual(['0.1', '1', '10', '100'])
    expect(labels({ scale: 'log', min: 3, max: 60 })).toEqual(['5', '10', '20', '50'])
    expect(labels({ scale: 'log', min: 1, max: 1e7 })).toEqual([
      '10⁰',
      '10¹',
      '10²',
      '10³',
      '10⁴',
      '10⁵',
      '10⁶',
      '10⁷',
    ])
  })
})
