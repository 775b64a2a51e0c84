import { describe, expect, it } from 'vitest'
import { SENSOR_COUNT } from '../event/sensors.ts'
import { DEAD_SENSORS, sensorEfficiency, sensorIsDead } from './detector.ts'
import { addNoise } from './noise.ts'
import { Photons } from './photons.ts'
import { Random } from './random.ts'
import { simulateEvents } from './simulate.ts'

describe('dead sensors', () => {
  it('are 109, those of efficiency 0', () => {
    expect(sensorIsDead.reduce((sum, isDead) => sum + isDead, 0)).toBe(DEAD_SENSORS)
    for (let sensor = 0; sensor < SENSOR_COUNT; sensor++)
      expect(sensorEfficiency[sensor] === 0).toBe(sensorIsDead[sensor] === 1)
  })

  it('neither glow nor see light', () => {
    const photons = new Photons()
    const random = new Random()
    random.restart(1, 0)
    addNoise(random, photons, 0, 200_000)
    const glowing = new Set(photons.sensors.subarray(0, photons.count))
    expect(photons.count).toBeGreaterThan(400)
    const seeing = new Set(simulateEvents(1, 0, 300).sensorIds)
    expect(seeing.size).toBeGreaterThan(4000)
    for (const sensor of [...glowing, ...seeing]) expect(sensorIsDead[sensor]).toBe(0)
  })
})
