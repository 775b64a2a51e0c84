import { describe, expect, it } from 'vitest'
import { Launches } from './coincidence.ts'
import { Photons } from './photons.ts'

const photons = new Photons()
const launches = new Launches()

/** Launches of photo-electrons `[sensor, ns, charge = 1]`, as `[sensor, ns, hard]`. */
function record(...hits: [sensor: number, timeNs: number, charge?: number][]): number[][] {
  photons.clear()
  for (const [sensor, timeNs, charge = 1] of hits) photons.add(sensor, timeNs, charge)
  photons.sort()
  launches.record(photons)
  return Array.from({ length: launches.count }, (_, i) => [
    launches.sensors[i],
    Math.round(launches.times[i]),
    launches.hard[i],
  ])
}

describe('Launches', () => {
  it('neighbours and next-to-nearest neighbours within a microsecond are in hard coincidence', () => {
    expect(record([10, 0], [11, 999])).toEqual([
      [10, 0, 1],
      [11, 999, 1],
    ])
    expect(record([10, 0], [12, 999])).toEqual([
      [10, 0, 1],
      [12, 999, 1],
    ])
  })

  it('farther or later ones are not, nor a sensor with itself', () => {
    expect(record([10, 0], [13, 1])).toEqual([
      [10, 0, 0],
      [13, 1, 0],
    ])
    expect(record([10, 0], [11, 1001])).toEqual([
      [10, 0, 0],
      [11, 1001, 0],
    ])
    expect(record([10, 0], [10, 2600])).toEqual([
      [10, 0, 0],
      [10, 2600, 0],
    ])
  })

  it('coincidence ends with the string', () => {
    expect(record([59, 0], [60, 10])).toEqual([
      [59, 0, 0],
      [60, 10, 0],
    ])
    expect(record([60, 0], [61, 10])).toEqual([
      [60, 0, 1],
      [61, 10, 1],
    ])
    expect(record([58, 0], [59, 10])).toEqual([
      [58, 0, 1],
      [59, 10, 1],
    ])
  })

  it('a soft launch blinds the sensor for 2450 ns, a hard one for 6450 ns', () => {
    expect(record([10, 0], [10, 2449], [10, 2451])).toEqual([
      [10, 0, 0],
      [10, 2451, 0],
    ])
    expect(record([10, 0], [11, 5], [10, 6449], [10, 6451])).toEqual([
      [10, 0, 1],
      [11, 5, 1],
      [10, 6451, 0],
    ])
  })

  it('charges below the discriminator start no launch, but are part of one', () => {
    expect(record([10, 0, 0.2])).toEqual([])
    expect(launches.ofPhoton[0]).toBe(-1)
    expect(record([10, 0, 1], [10, 20, 0.2])).toEqual([[10, 0, 0]])
    expect(launches.ofPhoton[1]).toBe(0)
  })

  it('takes photo-electrons in order of time, not of arrival in the list', () => {
    expect(record([10, 500], [20, -300])).toEqual([
      [20, -300, 0],
      [10, 500, 0],
    ])
  })
})
