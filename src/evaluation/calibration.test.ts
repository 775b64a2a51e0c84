import { describe, expect, it } from 'vitest'
import { vmfRadius } from '../event/direction.ts'
import { Random } from '../simulator/random.ts'
import { calibrate } from './calibration.ts'

/** Errors drawn from the distributions of kappas from 0.5 to 500. */
function drawErrors(count: number): { errors: Float64Array; kappas: Float64Array } {
  const random = new Random()
  random.restart(3, 3)
  const kappas = Float64Array.from({ length: count }, () => 0.5 * 1000 ** random.uniform())
  return { kappas, errors: kappas.map((kappa) => vmfRadius(random.uniform(), kappa)) }
}

describe('calibrate()', () => {
  const { errors, kappas } = drawErrors(20_000)

  it('finds a calibrated model calibrated', () => {
    const found = calibrate(errors, kappas)
    expect(found?.events).toBe(20_000)
    expect(found?.coverage50).toBeCloseTo(0.5, 1.7)
    expect(found?.coverage90).toBeCloseTo(0.9, 1.7)
    for (const value of [found?.radius50.ratio, found?.radius90.ratio, found?.scale50, found?.scale90])
      expect(Math.abs((value ?? 0) - 1)).toBeLessThan(0.04)
    for (const { predicted, observed } of found?.reliability ?? [])
      expect(Math.abs(predicted - observed)).toBeLessThan(0.015)
    expect(found?.byKappa).toHaveLength(10)
    for (const bin of found?.byKappa ?? []) expect(Math.abs(bin.radius50.ratio - 1)).toBeLessThan(0.12)
  })

  it('finds a model overconfident whose kappa is four times too large', () => {
    const found = calibrate(
      errors,
      kappas.map((kappa) => 4 * kappa),
    )
    expect(found?.coverage50).toBeLessThan(0.25)
    // At large kappa, radii scale with 1/√kappa.
    expect(found?.byKappa[9].radius50.ratio).toBeCloseTo(2, 0.5)
    expect(found?.scale50).toBeGreaterThan(1.5)
    expect(found?.scale90).toBeGreaterThan(1.5)
  })

  it('scales each radius so that its share of events lies within, for any shape of errors', () => {
    const kappas = new Float64Array(101).fill(1e6)
    const radius = (share: number) => vmfRadius(share, 1e6)
    const twice = calibrate(new Float64Array(101).fill(2 * radius(0.9)), kappas)
    expect(twice?.scale90).toBeCloseTo(2, 9)
    expect(twice?.scale50).toBeCloseTo((2 * radius(0.9)) / radius(0.5), 9)
    const ramp = calibrate(
      kappas.map((_, i) => i * radius(0.9)),
      kappas,
    )
    expect(ramp?.scale90).toBeCloseTo(90, 9)
    expect(ramp?.scale50).toBeCloseTo((50 * radius(0.9)) / radius(0.5), 9)
  })

  it('gives each range of kappa its lowest and highest value, without gap or overlap', () => {
    const kappas = Float64Array.from({ length: 100 }, (_, i) => 100 - i)
    const bins = calibrate(new Float64Array(100).fill(0.1), kappas)?.byKappa ?? []
    expect(bins.map(({ kappaFrom }) => kappaFrom)).toEqual([1, 11, 21, 31, 41, 51, 61, 71, 81, 91])
    expect(bins.map(({ kappaTo }) => kappaTo)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
  })

  it('leaves out events without a concentration, and is undefined if no event is left', () => {
    const some = kappas.map((kappa, i) => (i % 2 === 0 ? kappa : Number.NaN))
    expect(calibrate(errors, some)?.events).toBe(10_000)
    expect(calibrate(errors, new Float64Array(20_000).fill(Number.NaN))).toBeUndefined()
  })

  it('gives the lowest and highest kappa of each range', () => {
    const kappa = Float64Array.from({ length: 20 }, (_, i) => 20 - i)
    const found = calibrate(new Float64Array(20).fill(0.1), kappa)
    expect(found?.byKappa.map(({ kappaFrom, kappaTo }) => [kappaFrom, kappaTo])).toEqual(
      Array.from({ length: 10 }, (_, bin) => [2 * bin + 1, 2 * bin + 2]),
    )
  })

  it('scales the 50 % and the 90 % radius by the quantile of its own share', () => {
    // Every second event is twice as far off as its 90 % radius, the others are at a tenth of it.
    const kappa = new Float64Array(1000).fill(1000)
    const radius90 = vmfRadius(0.9, 1000)
    const found = calibrate(
      kappa.map((_, i) => (i % 2 === 0 ? 2 : 0.1) * radius90),
      kappa,
    )
    expect(found?.scale90).toBeCloseTo(2, 9)
    expect(found?.scale50).not.toBeCloseTo(2, 1)
  })

  it('accepts a few events', () => {
    expect(calibrate(Float64Array.of(0.1, 0.2), Float64Array.of(10, 20))?.byKappa).toHaveLength(2)
  })
})
