import { describe, expect, it } from 'vitest'
import { sensorPositions } from '../../src/event/sensors.ts'
import { depthTicks, outline, stringLines } from './detector.ts'

describe('the detector', () => {
  it('has a cable for each of its 86 strings, from top to bottom', () => {
    const lines = stringLines()
    expect(lines).toHaveLength(86)
    for (const [from, to] of lines) expect(from[2]).toBeGreaterThan(to[2] + 300)
  })

  it('has an outline that contains every sensor', () => {
    const corners = outline()
    expect(corners.length).toBeGreaterThanOrEqual(6)
    for (let i = 0; i < sensorPositions.length; i += 180) {
      const [x, y] = sensorPositions.subarray(i, i + 2)
      for (const [j, [ax, ay]] of corners.entries()) {
        const [bx, by] = corners[(j + 1) % corners.length]
        expect((bx - ax) * (y - ay) - (by - ay) * (x - ax)).toBeGreaterThan(-1e-3)
      }
    }
  })

  it('has depths between the surface and its bottom', () => {
    for (const { z } of depthTicks()) expect(Math.abs(z)).toBeLessThan(520)
  })
})
