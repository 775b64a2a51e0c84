import { describe, expect, it } from 'vitest'
import { Atmosphere, BUNDLES_HZ } from './atmosphere.ts'
import { Launches } from './coincidence.ts'
import { Illumination } from './illumination.ts'
import { Photocathodes } from './photocathodes.ts'
import { Photons } from './photons.ts'
import { Random } from './random.ts'
import { Trigger } from './trigger.ts'

describe('Atmosphere', () => {
  const random = new Random()
  random.restart(11, 0)
  const photons = new Photons()
  const cathodes = new Photocathodes(random, photons)
  const atmosphere = new Atmosphere(random, new Illumination(cathodes), photons)
  const launches = new Launches()
  const trigger = new Trigger()
  const BUNDLES = 4000
  let triggered = 0
  let hardLaunches = 0
  const cosines: number[] = []
  const multiplicities: number[] = []
  for (let i = 0; i < BUNDLES; i++) {
    photons.clear()
    cathodes.restart()
    atmosphere.addBundle(0)
    photons.sort()
    launches.record(photons)
    multiplicities.push(atmosphere.muons)
    for (let launch = 0; launch < launches.count; launch++) hardLaunches += launches.hard[launch]
    if (!trigger.decide(launches)) continue
    triggered++
    cosines.push(Math.cos(atmosphere.zenith))
  }

  // Nothing in the generator was set to meet this: it follows from the flux at the surface and the energy loss in the ice.
  it('triggers the detector about as often as muons do in nature: 2.5 to 2.9 kHz', () => {
    expect((BUNDLES_HZ * triggered) / BUNDLES).toBeGreaterThan(2500)
    expect((BUNDLES_HZ * triggered) / BUNDLES).toBeLessThan(3300)
  })

  it('makes 5 to 25 launches in coincidence per second and sensor', () => {
    const rate = (hardLaunches / BUNDLES) * (BUNDLES_HZ / 5051)
    expect(rate).toBeGreaterThan(5)
    expect(rate).toBeLessThan(25)
  })

  it('comes from above, mostly steeply', () => {
    cosines.sort((a, b) => a - b)
    expect(cosines[0]).toBeGreaterThan(0.2)
    expect(cosines[cosines.length >> 1]).toBeGreaterThan(0.7)
  })

  it('comes as single muons in five of six bundles, and as many in some', () => {
    const single = multiplicities.filter((muons) => muons === 1).length / BUNDLES
    expect(single).toBeGreaterThan(0.8)
    expect(single).toBeLessThan(0.86)
    expect(Math.max(...multiplicities)).toBeGreaterThan(8)
  })

  it('adds as many bundles in a stretch of time as pass in it', () => {
    random.restart(12, 0)
    photons.clear()
    cathodes.restart()
    atmosphere.visible = 0
    atmosphere.addBundles(0, 1e6)
    // Some 7 bundles a millisecond, of which three in four give light.
    expect(atmosphere.visible).toBeGreaterThan(2)
    expect(atmosphere.visible).toBeLessThan(20)
  })
})
