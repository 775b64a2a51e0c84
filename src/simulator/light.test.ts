import { describe, expect, it } from 'vitest'
import {
  acceptance,
  angleBin,
  bareMuonLight,
  CASCADE_METRES_PER_GEV,
  cascadeFlux,
  hadronicShare,
  PHOTOELECTRONS_PER_FLUX,
  trackFlux,
} from './light.ts'

describe('trackFlux', () => {
  // Expected photo-electrons of a sensor at d metres from a bare muon, computed independently from muex' formulas.
  const ices = { '33/120': [33, 120], '20/75': [20, 75], '80/240': [80, 240], '6/22': [6, 22] } as const
  it.each([
    { d: 5, '33/120': 8.8, '20/75': 8.8, '80/240': 8.6, '6/22': 7.2 },
    { d: 10, '33/120': 4.3, '20/75': 4.2, '80/240': 4.3, '6/22': 2.2 },
    { d: 20, '33/120': 1.97, '20/75': 1.68, '80/240': 2.05, '6/22': 0.3 },
    { d: 40, '33/120': 0.72, '20/75': 0.44, '80/240': 0.92, '6/22': 0.008 },
    { d: 60, '33/120': 0.32, '20/75': 0.137, '80/240': 0.53, '6/22': 3e-4 },
    { d: 100, '33/120': 0.076, '20/75': 0.016, '80/240': 0.227 },
    { d: 150, '33/120': 0.014, '20/75': 0.001, '80/240': 0.093 },
  ])('gives the published photo-electrons at $d m', ({ d, ...expected }) => {
    for (const [ice, photoelectrons] of Object.entries(expected)) {
      const [scattering, absorption] = ices[ice as keyof typeof ices]
      const got = PHOTOELECTRONS_PER_FLUX * trackFlux(d, 1 / scattering, 1 / absorption)
      // The published figures have one or two digits.
      expect(got / photoelectrons, `ice ${ice}`).toBeGreaterThan(photoelectrons < 0.01 ? 0.75 : 0.96)
      expect(got / photoelectrons, `ice ${ice}`).toBeLessThan(photoelectrons < 0.01 ? 1.5 : 1.04)
    }
  })
})

describe('cascadeFlux', () => {
  it('falls with the square of the distance where nothing scatters, and faster where light is absorbed', () => {
    const clear = cascadeFlux(10, 1e-4, 1e-5) / cascadeFlux(20, 1e-4, 1e-5)
    expect(clear).toBeCloseTo(4, 1)
    expect(cascadeFlux(60, 1 / 20, 1 / 75) / cascadeFlux(120, 1 / 20, 1 / 75)).toBeGreaterThan(8)
  })
})

describe('yields', () => {
  it('a muon of 1 TeV gives 1.33 times a bare muon’s light', () => {
    expect(bareMuonLight(1000)).toBeCloseTo(1.33, 2)
  })

  it('a cascade gives 5.25 m of a bare muon’s light per GeV, a hadronic one less', () => {
    expect(CASCADE_METRES_PER_GEV).toBeCloseTo(5.25, 2)
    expect(hadronicShare(10)).toBeGreaterThan(0.55)
    expect(hadronicShare(10)).toBeLessThan(hadronicShare(1e5))
    expect(hadronicShare(1e5)).toBeLessThan(1)
  })
})

describe('acceptance', () => {
  it('has mean 1 over the sphere', () => {
    expect(acceptance.reduce((sum, value) => sum + value, 0) / acceptance.length).toBeCloseTo(1, 10)
  })

  it('sensors look down: light that moves up is seen, light from above hardly', () => {
    expect(acceptance[angleBin(0.7)]).toBeGreaterThan(1.5)
    expect(acceptance[angleBin(-0.9)]).toBeLessThan(0.1)
  })
})
