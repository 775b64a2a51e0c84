import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NO_SAMPLE, sampleFolder } from '../../test/support/sample.ts'
import { STRINGS_CM } from './sensor-table.ts'
import {
  depthOf,
  domOf,
  isDeepCore,
  relativeEfficiency,
  SENSOR_COUNT,
  sensorPositions,
  stringOf,
} from './sensors.ts'

function position(sensorId: number): number[] {
  return [...sensorPositions.subarray(sensorId * 3, sensorId * 3 + 3)]
}

describe('sensorPositions', () => {
  it('holds sixty sensors on each of 86 strings, each below the one before', () => {
    expect(STRINGS_CM.trim().split('\n')).toHaveLength(86)
    expect(sensorPositions).toHaveLength(SENSOR_COUNT * 3)
    for (let id = 0; id < SENSOR_COUNT; id++) {
      if (domOf(id) > 0) expect(position(id)[2]).toBeLessThan(position(id - 1)[2] - 5)
    }
  })

  it('spans the published extent of the detector', () => {
    const axis = (k: number) => Array.from({ length: SENSOR_COUNT }, (_, id) => sensorPositions[id * 3 + k])
    const extent = [0, 1, 2].flatMap((k) => [Math.min(...axis(k)), Math.max(...axis(k))])
    const published = [-570.9, 576.37, -521.08, 509.5, -512.82, 524.56]
    for (const [i, value] of extent.entries()) expect(value).toBeCloseTo(published[i], 2)
  })

  it('agrees with sensor_geometry.csv to 0.01 m', (t) => {
    const folder = sampleFolder() ?? t.skip(NO_SAMPLE)
    const rows = readFileSync(join(folder, 'sensor_geometry.csv'), 'utf8').trim().split('\n').slice(1)
    expect(rows).toHaveLength(SENSOR_COUNT)
    for (const row of rows) {
      const [id, ...xyz] = row.split(',').map(Number)
      for (const [k, value] of xyz.entries()) {
        expect(Math.abs(position(id)[k] - value), `sensor ${id}, axis ${k}`).toBeLessThan(0.005)
      }
    }
  })
})

describe('sensor helpers', () => {
  it('name string and place on the string', () => {
    expect([stringOf(0), domOf(0)]).toEqual([0, 0])
    expect([stringOf(5159), domOf(5159)]).toEqual([85, 59])
    expect([stringOf(4680), domOf(4739)]).toEqual([78, 59])
  })

  it('give DeepCore below its veto cap the higher efficiency', () => {
    expect([4679, 4680, 4690].map(isDeepCore)).toEqual([false, true, true])
    expect([4679, 4680, 4689, 4690, 5159].map(relativeEfficiency)).toEqual([1, 1, 1, 1.35, 1.35])
  })

  it('count depth downwards from the surface', () => {
    expect(depthOf(0)).toBe(1948.07)
    expect(depthOf(500)).toBeCloseTo(1448.07)
  })
})
