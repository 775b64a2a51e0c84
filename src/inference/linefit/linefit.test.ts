import { describe, expect, it } from 'vitest'
import { angularDistance, fromSourceVector, toSourceVector } from '../../event/direction.ts'
import type { EventBatch } from '../../event/event-batch.ts'
import { SENSOR_COUNT, sensorPositions } from '../../event/sensors.ts'
import { buildLineFit } from './linefit.ts'

interface Pulse {
  readonly sensor: number
  readonly time: number
  readonly auxiliary?: number
}

function batchOf(pulses: readonly Pulse[]): EventBatch {
  return {
    eventIds: BigInt64Array.of(1n),
    offsets: Int32Array.of(0, pulses.length),
    sensorIds: Uint16Array.from(pulses, ({ sensor }) => sensor),
    times: Float32Array.from(pulses, ({ time }) => time),
    charges: new Float32Array(pulses.length).fill(1),
    auxiliary: Uint8Array.from(pulses, ({ auxiliary = 0 }) => auxiliary),
  }
}

/** Pulses of all sensors near a straight track from `azimuth`, `zenith` through the origin, at the speed of light. */
function track(azimuth: number, zenith: number): Pulse[] {
  const [x, y, z] = toSourceVector(azimuth, zenith)
  const pulses: Pulse[] = []
  for (let sensor = 0; sensor < SENSOR_COUNT; sensor++) {
    const [px, py, pz] = sensorPositions.subarray(3 * sensor, 3 * sensor + 3)
    const along = -(px * x + py * y + pz * z)
    const distance = Math.hypot(px + along * x, py + along * y, pz + along * z)
    if (distance < 60) pulses.push({ sensor, time: 12_000 + along / 0.299792458 })
  }
  return pulses.sort((a, b) => a.time - b.time)
}

function fitted(pulses: readonly Pulse[]) {
  const { x, y, z, isDegenerate } = buildLineFit()(batchOf(pulses), 0)
  return { ...fromSourceVector(x, y, z), isDegenerate }
}

/** Numbers between 0 and 1, the same each time. */
function pseudoRandom(): () => number {
  let state = 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

describe('buildLineFit()', () => {
  it.each([
    { azimuth: 0, zenith: 0.2 },
    { azimuth: 1.2, zenith: 1 },
    { azimuth: 4, zenith: 1.6 },
    { azimuth: 5.5, zenith: 2.9 },
  ])('finds where a track came from: $azimuth, $zenith', (truth) => {
    const found = fitted(track(truth.azimuth, truth.zenith))
    expect(found.isDegenerate).toBe(false)
    // Sensors stand in strings, which pulls steep tracks towards the vertical by some degrees.
    expect(angularDistance(found, truth)).toBeLessThan(0.08)
  })

  it('is not misled by auxiliary pulses', () => {
    const random = pseudoRandom()
    const noise = Array.from({ length: 300 }, () => ({
      sensor: Math.floor(random() * SENSOR_COUNT),
      time: 6_000 + 10_000 * random(),
      auxiliary: 1,
    }))
    expect(fitted([...track(2, 1), ...noise])).toEqual(fitted(track(2, 1)))
  })

  it('takes an event of many thousand pulses, from its first to its last', () => {
    const pulses = track(2, 1).flatMap((pulse) => Array.from({ length: 100 }, () => pulse))
    expect(pulses.length).toBeGreaterThan(4_000)
    expect(angularDistance(fitted(pulses), { azimuth: 2, zenith: 1 })).toBeLessThan(0.08)
  })

  it('is hardly misled by light that comes late', () => {
    const pulses = track(2, 1)
    const late = pulses
      .slice(0, pulses.length / 2)
      .map(({ sensor, time }) => ({ sensor, time: time + 3_000 }))
    expect(angularDistance(fitted([...pulses, ...late]), { azimuth: 2, zenith: 1 })).toBeLessThan(0.1)
  })

  it('gives the same whatever the order of the rows', () => {
    const pulses = track(2, 1)
    expect(fitted(pulses.toReversed())).toEqual(fitted(pulses))
  })

  it.each([
    { name: 'one pulse', pulses: [{ sensor: 100, time: 10_000 }], zenith: 0 },
    {
      name: 'pulses of one sensor',
      pulses: [0, 50, 900].map((time) => ({ sensor: 100, time })),
      zenith: 0,
    },
    {
      name: 'pulses of one string at the same time',
      pulses: [0, 10, 20, 30].map((sensor) => ({ sensor, time: 10_000 })),
      zenith: 0,
    },
    {
      name: 'a level line at the same time',
      pulses: [30, 90, 150].map((sensor) => ({ sensor, time: 10_000 })),
      zenith: Math.PI / 2,
    },
  ])('falls back on the axis of $name', ({ pulses, zenith }) => {
    const found = fitted(pulses)
    expect(found.isDegenerate).toBe(true)
    expect(found.zenith).toBeCloseTo(zenith, 1)
  })

  it('is never NaN', () => {
    const random = pseudoRandom()
    for (let event = 0; event < 2_000; event++) {
      const sensors = 1 + Math.floor(random() * 3)
      const spreadNs = [0, 0.1, 10, 10_000][event % 4]
      const pulses = Array.from({ length: 1 + Math.floor(random() * 8) }, () => ({
        sensor: Math.floor(random() * sensors),
        time: 10_000 + spreadNs * random(),
        auxiliary: Math.floor(random() * 2),
      }))
      const { azimuth, zenith } = fitted(pulses)
      expect(Number.isFinite(azimuth) && Number.isFinite(zenith)).toBe(true)
    }
  })
})
