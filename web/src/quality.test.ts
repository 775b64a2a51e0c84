import { describe, expect, it } from 'vitest'
import { FINEST, SENSOR_SHARES, withMeasure } from './quality.ts'

describe('withMeasure()', () => {
  it('is content with 30 frames a second', () => {
    expect(withMeasure(FINEST, 31).level).toBe(0)
  })

  it('draws fewer sensors while frames come too slowly, to an end', () => {
    let quality = FINEST
    for (let i = 0; i < 20; i++) quality = withMeasure(quality, 80)
    expect(quality.level).toBe(SENSOR_SHARES.length - 1)
  })

  it('tries more of them after a while of fast frames, and does not flap', () => {
    let quality = { level: 2, fastMeasures: 0 }
    for (let i = 0; i < 3; i++) quality = withMeasure(quality, 16.7)
    expect(quality.level).toBe(2)
    expect(withMeasure(quality, 16.7).level).toBe(1)
    expect(withMeasure(withMeasure(quality, 25), 16.7).level).toBe(2)
  })
})
