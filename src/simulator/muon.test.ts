import { describe, expect, it } from 'vitest'
import { MuonTrack } from './muon.ts'
import { Random } from './random.ts'

function propagate(energyGev: number, index = 0): MuonTrack {
  const random = new Random()
  random.restart(11, index)
  const track = new MuonTrack()
  track.propagate(random, energyGev, 0, 4000)
  return track
}

describe('MuonTrack', () => {
  it('a muon of 100 GeV lights some 390 m and stops', () => {
    const lengths = Array.from({ length: 200 }, (_, i) => propagate(100, i).steps * 20)
    const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length
    expect(mean).toBeGreaterThan(340)
    expect(mean).toBeLessThan(420)
  })

  it('on average gives the light of its losses: 18.8 bare muons per metre at 10 TeV', () => {
    let light = 0
    for (let i = 0; i < 4000; i++) {
      const track = propagate(10_000, i)
      light += track.meanLight(0, 20)
      for (let k = 0; k < track.losses; k++) if (track.lossAt[k] < 20) light += (5.25 * track.lossGev[k]) / 20
    }
    expect(light / 4000 / 18.8).toBeGreaterThan(0.85)
    expect(light / 4000 / 18.8).toBeLessThan(1.15)
  })

  it('gives no light before its start and after its end', () => {
    const track = propagate(50)
    expect(track.meanLight(-100, -10)).toBe(0)
    expect(track.meanLight(3000, 3100)).toBe(0)
    expect(track.meanLight(10, 30)).toBeGreaterThan(1)
  })

  it('never loses more than it has', () => {
    for (let i = 0; i < 200; i++) {
      const track = propagate(1000, i)
      const lost = track.lossGev.subarray(0, track.losses).reduce((sum, gev) => sum + gev, 0)
      expect(lost).toBeLessThanOrEqual(1000)
    }
  })
})
