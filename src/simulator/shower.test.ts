import { describe, expect, it } from 'vitest'
import {
  ShowerPoints,
  showerBin,
  showerBrightness,
  showerDelayRate,
  showerDelayShape,
  showerOnset,
} from './shower.ts'

const at = (distance: number, degrees: number) =>
  showerBin(1 / (1 + distance), Math.cos((degrees / 180) * Math.PI))

describe('light around a shower', () => {
  it.each([0.1, 0.5, 1, 2, 4, 7])('has mean 1 over all directions %d scattering lengths off', (distance) => {
    const directions = Array.from({ length: 200 }, (_, i) => (i + 0.5) / 100 - 1)
    const sum = directions.reduce(
      (total, cosine) => total + showerBrightness[showerBin(1 / (1 + distance), cosine)],
      0,
    )
    expect(sum / directions.length).toBeCloseTo(1, 1)
  })

  it('is brightest near the Cherenkov angle of 41 degrees close by, and in front far away', () => {
    const brightness = (distance: number, degrees: number) => showerBrightness[at(distance, degrees)]
    expect(brightness(0.1, 41)).toBeGreaterThan(1.3 * brightness(0.1, 5))
    expect(brightness(0.1, 41)).toBeGreaterThan(7 * brightness(0.1, 160))
    expect(brightness(4, 5)).toBeGreaterThan(brightness(4, 60))
    expect(brightness(4, 5)).toBeGreaterThan(2 * brightness(4, 160))
  })

  it('comes later the farther from the shower and the farther from its direction', () => {
    // Mean delay in ice of average absorption, scattering lengths over light speed.
    const delay = (distance: number, degrees: number) => {
      const bin = at(distance, degrees)
      return showerOnset[bin] + showerDelayShape[bin] / (showerDelayRate[bin] + 0.3)
    }
    for (const distance of [0.5, 1, 2, 4])
      expect(delay(distance, 150) / delay(distance, 40)).toBeGreaterThan(1.2)
    expect(delay(2, 90)).toBeGreaterThan(2 * delay(1, 90))
  })
})

describe('ShowerPoints', () => {
  it('a faint shower is a point; its light lies deeper the more energy it has', () => {
    const points = new ShowerPoints()
    points.place(10, false)
    expect(points.count).toBe(1)
    expect(points.depths[0]).toBeCloseTo(2.15, 1)
    points.place(500, false)
    expect(points.depths[0]).toBeCloseTo(3.68, 1)
  })

  it('a bright one is several metres long, its light at the published depth on average', () => {
    const points = new ShowerPoints()
    points.place(1e5, false)
    expect(points.count).toBe(3)
    const depths = [...points.depths]
    // Shape 9.29 and scale 0.62 m: mean 5.76 m, spread 1.89 m.
    expect(depths.reduce((sum, depth) => sum + depth) / 3).toBeCloseTo(5.76, 0.5)
    expect(depths[2] - depths[0]).toBeGreaterThan(3)
    expect(depths.toSorted((a, b) => a - b)).toEqual(depths)
    points.place(1e5, true)
    expect(points.depths[1]).toBeGreaterThan(depths[1])
  })
})
