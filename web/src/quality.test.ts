import { describe, expect, it } from 'vitest'
import { FINEST, LEVELS, withMeasure } from './quality.ts'

describe('withMeasure()', () => {
  it('is content with 30 frames a second', () => {
    expect(withMeasure(FINEST, 31).level).toBe(0)
  })

  it('draws fewer pixels while frames come too slowly, to an end', () => {
    let quality = FINEST
    for (let i = 0; i < 20; i++) quality = withMeasure(quality, 80)
    expect(quality.level).toBe(LEVELS.length - 1)
  })

  it('tries a finer level after a while of fast frames, and does not flap', () => {
    let quality = { level: 2, fastMeasures: 0 }
    for (let i = 0; i < 7; i++) quality = withMeasure(quality, 16.7)
    expect(quality.level).toBe(2)
    expect(withMeasure(quality, 16.7).level).toBe(1)
    expect(withMeasure(withMeasure(quality, 25), 16.7).level).toBe(2)
  })
})
