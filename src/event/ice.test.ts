import { describe, expect, it } from 'vitest'
import {
  absorptionLength,
  absorptionLengthAtDepth,
  scatteringLength,
  scatteringLengthAtDepth,
} from './ice.ts'
import { ICE_TABLE } from './ice-table.ts'

describe('ice by depth', () => {
  it('gives every row of the table back', () => {
    expect(ICE_TABLE).toHaveLength(110)
    for (const [depth, scattering, absorption] of ICE_TABLE) {
      expect(scatteringLengthAtDepth(depth)).toBeCloseTo(scattering, 10)
      expect(absorptionLengthAtDepth(depth)).toBeCloseTo(absorption, 10)
    }
  })

  it('is linear between two rows', () => {
    const [[d0, s0, a0], [d1, s1, a1]] = ICE_TABLE
    expect(scatteringLengthAtDepth((d0 + d1) / 2)).toBeCloseTo((s0 + s1) / 2, 10)
    expect(absorptionLengthAtDepth(d0 + 0.25 * (d1 - d0))).toBeCloseTo(a0 + 0.25 * (a1 - a0), 10)
  })

  it('is dustiest at 2048.5 m, which lies below the centre, and clear at the bottom', () => {
    expect(scatteringLength(1948.07 - 2048.5)).toBeCloseTo(5, 6)
    expect(absorptionLength(1948.07 - 2048.5)).toBeCloseTo(17.9, 6)
    expect(scatteringLength(+100)).toBeGreaterThan(15)
    expect(absorptionLength(-500)).toBeGreaterThan(150)
  })

  it('stays at its ends beyond the table', () => {
    expect(scatteringLengthAtDepth(0)).toBe(13.2)
    expect(absorptionLengthAtDepth(9999)).toBe(185.2)
  })
})
