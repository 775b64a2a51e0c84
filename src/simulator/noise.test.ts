import { expect, it } from 'vitest'
import { SENSOR_COUNT } from '../event/sensors.ts'
import { Launches } from './coincidence.ts'
import { addNoise } from './noise.ts'
import { Photons } from './photons.ts'
import { Random } from './random.ts'

it('addNoise() makes sensors launch at 540 Hz, high-efficiency ones 1.35 times as often', () => {
  const random = new Random()
  const photons = new Photons()
  const launches = new Launches()
  let counted = 0
  let deepCore = 0
  const windows = 2000
  for (let i = 0; i < windows; i++) {
    random.restart(1, i)
    photons.clear()
    addNoise(random, photons, 0, 10_000)
    photons.sort()
    launches.record(photons)
    for (let launch = 0; launch < launches.count; launch++) {
      // The first microseconds of a window lack the launches before it that would blind sensors.
      if (launches.times[launch] < 3000) continue
      counted++
      if (launches.sensors[launch] >= 78 * 60 && launches.sensors[launch] % 60 >= 10) deepCore++
    }
  }
  const hertz = counted / (windows * 7e-6 * SENSOR_COUNT)
  expect(hertz).toBeGreaterThan(480)
  expect(hertz).toBeLessThan(600)
  expect(deepCore / counted / (400 / SENSOR_COUNT)).toBeGreaterThan(1.2)
  expect(deepCore / counted / (400 / SENSOR_COUNT)).toBeLessThan(1.5)
})
