import { describe, expect, it } from 'vitest'
import {
  AFTERPULSE_CHANCE,
  drawAfterpulseDelay,
  drawCharge,
  drawJitter,
  drawLaunchingCharge,
  drawMisplacement,
  saturate,
  VISIBLE_SHARE,
} from './pmt.ts'
import { Random } from './random.ts'

function draw(count: number, from: (random: Random) => number): Float64Array {
  const random = new Random()
  random.restart(5, 0)
  return Float64Array.from({ length: count }, () => from(random)).sort()
}

describe('charges', () => {
  it('of one photo-electron peak at 1 and end at 3', () => {
    const charges = draw(50_000, drawCharge)
    const near = (q: number) => charges.filter((charge) => Math.abs(charge - q) < 0.05).length
    expect(near(1)).toBeGreaterThan(2 * near(0.4))
    expect(near(1)).toBeGreaterThan(4 * near(1.6))
    expect(charges[0]).toBeGreaterThanOrEqual(0.075)
    expect(charges.at(-1)).toBeLessThanOrEqual(3)
  })

  it('of a launch are above the discriminator', () => {
    expect(draw(10_000, drawLaunchingCharge)[0]).toBeGreaterThanOrEqual(0.25)
  })

  it('four in five photo-electrons are visible', () => {
    expect(VISIBLE_SHARE).toBeGreaterThan(0.75)
    expect(VISIBLE_SHARE).toBeLessThan(0.85)
  })

  it('saturate: small ones are kept, the largest are pressed below 3000', () => {
    expect(saturate(1)).toBeCloseTo(1, 2)
    expect(saturate(1e6)).toBeLessThan(3000)
    expect(saturate(1e6)).toBeGreaterThan(2000)
  })
})

describe('times', () => {
  it('scatter by 2 to 3 ns', () => {
    const jitter = draw(50_000, drawJitter)
    const mean = jitter.reduce((sum, t) => sum + t, 0) / jitter.length
    const spread = Math.sqrt(jitter.reduce((sum, t) => sum + (t - mean) ** 2, 0) / jitter.length)
    // A Gumbel distribution: mean μ + 0.5772 β, spread π β / √6.
    expect(mean).toBeCloseTo(0.153 + 0.5772 * 1.918, 1)
    expect(spread).toBeCloseTo((Math.PI * 1.918) / Math.sqrt(6), 1)
  })

  it('late pulses are 3.5 in a hundred, prepulses 3 in a thousand', () => {
    const moves = draw(100_000, drawMisplacement)
    expect(moves.filter((ns) => ns > 20).length / moves.length).toBeCloseTo(0.035, 2.5)
    expect(moves.filter((ns) => ns < -20).length / moves.length).toBeCloseTo(0.003, 2.8)
  })

  it('afterpulses come 0.3 to 11 µs later, mostly at about 6 µs', () => {
    const delays = draw(20_000, drawAfterpulseDelay)
    expect(delays[0]).toBeGreaterThanOrEqual(300)
    expect(delays.at(-1)).toBeLessThanOrEqual(11_000)
    expect(delays[10_000]).toBeGreaterThan(4000)
    expect(delays[10_000]).toBeLessThan(6500)
    expect(AFTERPULSE_CHANCE).toBe(0.0593)
  })
})
