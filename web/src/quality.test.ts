import { describe, expect, it } from 'vitest'
import { FINEST, SENSOR_SHARES, withMeasure } from './quality.ts'

describe('withMeasure()', () => {
  it('keeps all sensors at 30 frames per second', () => {
    expect(withMeasure(FINEST, 31).level).toBe(0)
  })

  it('draws fewer sensors while frames are too slow, down to a minimum', () => {
    let quality = FINEST
    for (let i = 0; i < 20; i++) quality = withMeasure(quality, 80)
    expect(quality.level).toBe(SENSOR_SHARES.length - 1)
  })

  it('draws more sensors after a time of fast frames, without oscillating', () => {
    let quality = { level: 2, fastMeasures: 0 }
    for (let i = 0; i < 3; i++) quality = withMeasure(quality, 16.7)
    expect(quality.level).toBe(2)
    expect(withMeasure(quality, 16.7).level).toBe(1)
    expect(withMeasure(withMeasure(quality, 25), 16.7).level).toBe(2)
  })
})
