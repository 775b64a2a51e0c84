import { describe, expect, it } from 'vitest'
import { Launches } from './coincidence.ts'
import { Trigger } from './trigger.ts'

const trigger = new Trigger()

/** Sensors of standard string 0 and its like, from the top. */
const sensor = (string: number, dom: number) => string * 60 + dom

/** Decides on launches `[sensor, ns]` in hard coincidence (or not). */
function decide(hits: [sensor: number, timeNs: number][], hard = 1): [number, number] | undefined {
  const launches = new Launches()
  for (const [at, time] of hits.toSorted((a, b) => a[1] - b[1])) {
    launches.sensors[launches.count] = at
    launches.times[launches.count] = time
    launches.hard[launches.count] = hard
    launches.count++
  }
  return trigger.decide(launches) ? [trigger.startNs, trigger.endNs] : undefined
}

/** Launches far apart from one another, so that only their number matters. */
const scattered = (count: number, spacingNs: number): [number, number][] =>
  Array.from({ length: count }, (_, i) => [sensor((i * 7) % 78, (i * 23) % 36), i * spacingNs])

describe('Trigger', () => {
  it('eight hard launches in 5 µs are a trigger from the first to the last', () => {
    expect(decide(scattered(8, 700))).toEqual([0, 4900])
  })

  it('seven are not, nor eight in more than 5 µs, nor eight soft ones', () => {
    expect(decide(scattered(7, 700))).toBeUndefined()
    expect(decide(scattered(8, 720))).toBeUndefined()
    expect(decide(scattered(8, 700), 0)).toBeUndefined()
  })

  it('lasts as long as eight launches stay within 5 µs', () => {
    expect(decide(scattered(12, 700))).toEqual([0, 7700])
    expect(decide([...scattered(8, 700), [sensor(70, 5), 12_000]])).toEqual([0, 4900])
  })

  it('three in DeepCore within 2.5 µs are enough, above its dust layer they are not', () => {
    expect(
      decide([
        [sensor(79, 20), 0],
        [sensor(82, 40), 1200],
        [sensor(85, 55), 2400],
      ]),
    ).toEqual([0, 2400])
    expect(
      decide([
        [sensor(79, 20), 0],
        [sensor(82, 40), 1200],
        [sensor(85, 55), 2600],
      ]),
    ).toBeUndefined()
    expect(
      decide([
        [sensor(79, 2), 0],
        [sensor(82, 4), 1200],
        [sensor(85, 5), 2400],
      ]),
    ).toBeUndefined()
  })

  it('four near one another within 1 µs are enough', () => {
    expect(
      decide([
        [sensor(10, 20), 0],
        [sensor(10, 21), 50],
        [sensor(10, 22), 90],
        [sensor(10, 19), 900],
      ]),
    ).toEqual([0, 900])
    expect(
      decide([
        [sensor(10, 20), 0],
        [sensor(10, 21), 50],
        [sensor(10, 22), 90],
        [sensor(10, 30), 900],
      ]),
    ).toBeUndefined()
    expect(
      decide([
        [sensor(10, 20), 0],
        [sensor(10, 21), 50],
        [sensor(10, 22), 90],
        [sensor(10, 19), 1100],
      ]),
    ).toBeUndefined()
  })
})
