import { describe, expect, it } from 'vitest'
import { Mixture } from './distribution.ts'
import { writeFits } from './fits.ts'
import { regionArea, toSkyMap } from './map.ts'

const SQUARE_DEGREES = (180 / Math.PI) ** 2
const centre = { rightAscension: 1.234, declination: -0.567 }

/** Area of the circle that holds a share of a von Mises-Fisher distribution, square degrees. */
function exactArea(kappa: number, share: number): number {
  const angle = 2 * Math.asin(Math.sqrt(-Math.log1p(share * Math.expm1(-2 * kappa)) / (2 * kappa)))
  return 2 * Math.PI * (1 - Math.cos(angle)) * SQUARE_DEGREES
}

describe('Mixture', () => {
  it.each([0, 0.1, 1, 30, 5_000, 1e6])('integrates to 1 at a kappa of %d', (kappa) => {
    const mixture = new Mixture([{ ...centre, weight: 1, kappa }])
    // ∫ f dΩ over rings about the centre, in the variable of the exponent.
    const at = (angle: number) => mixture.density({ ...centre, declination: centre.declination + angle })
    const reach = kappa > 20 ? 8 / Math.sqrt(kappa) : Math.PI
    const steps = 4_000
    let sum = 0
    for (let i = 0; i < steps; i++) {
      const angle = ((i + 0.5) * reach) / steps
      sum += (at(angle) * 2 * Math.PI * Math.sin(angle) * reach) / steps
    }
    expect(sum).toBeCloseTo(1, 4)
  })

  it('normalises weights by their sum', () => {
    const two = new Mixture([
      { ...centre, weight: 3, kappa: 5 },
      { ...centre, weight: 1, kappa: 5 },
    ])
    expect(two.density(centre)).toBeCloseTo(
      new Mixture([{ ...centre, weight: 1, kappa: 5 }]).density(centre),
      12,
    )
  })

  it.each([
    ['no component', [], /at least one/],
    ['a weight of 0', [{ ...centre, weight: 0, kappa: 1 }], /weight of 0/],
    ['a kappa of NaN', [{ ...centre, weight: 1, kappa: Number.NaN }], /kappa of NaN/],
    ['a negative kappa', [{ ...centre, weight: 1, kappa: -1 }], /kappa of -1/],
  ])('refuses %s', (_, components, message) => {
    expect(() => new Mixture(components)).toThrow(message)
  })
})

describe('toSkyMap()', () => {
  it.each([0, 1, 50, 5_000, 1e5])('covers the sky once and integrates to 1 at a kappa of %d', (kappa) => {
    const { uniq, density, area } = toSkyMap(new Mixture([{ ...centre, weight: 1, kappa }]))
    expect(area.reduce((sum, value) => sum + value, 0)).toBeCloseTo(4 * Math.PI, 9)
    expect(density.reduce((sum, value, i) => sum + value * area[i], 0)).toBeCloseTo(1, 9)
    expect([...uniq]).toEqual([...uniq].sort((a, b) => a - b))
    expect(new Set(uniq).size).toBe(uniq.length)
  })

  it.each([100, 5_000, 1e5])('has the areas of 50 and 90 %% of a kappa of %d', (kappa) => {
    const map = toSkyMap(new Mixture([{ ...centre, weight: 1, kappa }]))
    for (const share of [0.5, 0.9])
      expect((regionArea(map, share) * SQUARE_DEGREES) / exactArea(kappa, share)).toBeCloseTo(1, 2)
  })

  it('finds a narrow component next to a wide one at any position', () => {
    for (let i = 0; i < 20; i++) {
      const narrow = { rightAscension: 0.31 * i, declination: Math.asin(-0.95 + 0.1 * i) }
      const mixture = new Mixture([
        { ...narrow, weight: 0.6, kappa: 1e5 },
        { ...centre, weight: 0.4, kappa: 2 },
      ])
      expect(regionArea(toSkyMap(mixture), 0.5) * SQUARE_DEGREES).toBeLessThan(1)
    }
  })
})

describe('writeFits()', () => {
  const map = toSkyMap(new Mixture([{ ...centre, weight: 1, kappa: 100 }]))

  it('writes whole blocks, cards of 80 characters and big-endian rows', () => {
    const bytes = writeFits(map, { OBJECT: "event '1'", RADIUS90: 1.5e-9 })
    expect(bytes.length % 2_880).toBe(0)
    const text = new TextDecoder().decode(bytes.subarray(0, 3 * 2_880))
    expect(text.slice(0, 80)).toBe('SIMPLE  =                    T'.padEnd(80))
    expect(text).toContain("TTYPE2  = 'PROBDENSITY'".padEnd(80))
    expect(text).toContain(`NAXIS2  = ${String(map.uniq.length).padStart(20)}`.padEnd(80))
    expect(text).toContain("OBJECT  = 'event ''1'''".padEnd(80))
    expect(text).toContain('RADIUS90=               1.5E-9'.padEnd(80))
    const end = text.indexOf(`${'END'.padEnd(80)}`, 2_880)
    const data = new DataView(bytes.buffer, Math.ceil((end + 80) / 2_880) * 2_880)
    expect(data.getBigInt64(0)).toBe(BigInt(map.uniq[0]))
    expect(data.getFloat64(8)).toBe(map.density[0])
    expect(data.getBigInt64(16)).toBe(BigInt(map.uniq[1]))
  })

  it.each([
    ['a name of nine characters', { LONGNAMES: 1 }, /cannot be named "LONGNAMES"/],
    ['text that is not ASCII', { OBJECT: 'ν' }, /not ASCII/],
    ['text that is too long', { OBJECT: 'x'.repeat(70) }, /longer than 80/],
    ['a value of NaN', { RA: Number.NaN }, /cannot hold NaN/],
  ])('refuses %s', (_, notes, message) => {
    expect(() => writeFits(map, notes)).toThrow(message)
  })
})
