import { describe, expect, it } from 'vitest'
import { Random } from './random.ts'
import { Simulator } from './simulate.ts'
import { Systematics, TABULATED_ICE } from './systematics.ts'

describe('Systematics', () => {
  const random = new Random()
  random.restart(1, 1)
  const systematics = new Systematics()
  const draws = Array.from({ length: 500 }, () => {
    const { acceptance, ...ice } = systematics.draw(random)
    return { ...ice, head: acceptance[255], mean: acceptance.reduce((sum, v) => sum + v, 0) / 256 }
  })

  it.each(['scattering', 'absorption', 'efficiency'] as const)('varies %s by a tenth', (name) => {
    const values = draws.map((ice) => ice[name])
    expect(Math.min(...values)).toBeGreaterThan(0.9)
    expect(Math.max(...values)).toBeLessThan(1.1)
    expect(values.reduce((sum, value) => sum + value, 0) / 500).toBeCloseTo(1, 1)
  })

  it('varies what sensors see head-on, at the same mean over all directions', () => {
    const heads = draws.map(({ head }) => head)
    expect(Math.max(...heads) / Math.min(...heads)).toBeGreaterThan(3)
    for (const { mean } of draws) expect(mean).toBeCloseTo(1, 9)
  })

  it('draws anisotropy and tilt around the measured ones', () => {
    expect(Math.max(...draws.map(({ anisotropy }) => anisotropy))).toBeGreaterThan(0.12)
    expect(Math.min(...draws.map(({ tilt }) => tilt))).toBeLessThan(-0.02)
    expect(TABULATED_ICE).toMatchObject({ anisotropy: 0, tilt: 0, efficiency: 1 })
  })
})

describe('a simulator with systematics', () => {
  const options = { systematics: true }

  it('makes each event the same whatever was simulated before', () => {
    const simulator = new Simulator(8, options)
    simulator.simulate(0, 20)
    expect(new Simulator(8, options).simulate(20, 5).times).toEqual(simulator.simulate(20, 5).times)
  })

  it('makes other events than one without', () => {
    expect(new Simulator(8, options).simulate(0, 5).times).not.toEqual(new Simulator(8).simulate(0, 5).times)
  })
})
