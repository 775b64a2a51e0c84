import { describe, expect, it } from 'vitest'
import { angularDistance, fromSourceVector } from '../../src/event/direction.ts'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { fitLine, hardRows, pickedRows, rowsOf } from './line-fits.ts'

type Pulse = [sensor: number, ns: number, charge: number, auxiliary: number]

/** One event with its pulses in order of time. */
function eventOf(...pulses: Pulse[]): EventBatch {
  return {
    eventIds: BigInt64Array.of(1n),
    offsets: Int32Array.of(0, pulses.length),
    sensorIds: Uint16Array.from(pulses, ([sensor]) => sensor),
    times: Float32Array.from(pulses, ([, ns]) => ns),
    charges: Float32Array.from(pulses, ([, , charge]) => charge),
    auxiliary: Uint8Array.from(pulses, ([, , , auxiliary]) => auxiliary),
  }
}

/** Pulses of a plane wave of light that travels along a direction. */
function planeWave(px: number, py: number, pz: number): EventBatch {
  const pulses = Array.from({ length: 600 }, (_, i): Pulse => {
    const sensor = i * 8 + (i % 7)
    const [x, y, z] = sensorPositions.subarray(sensor * 3, sensor * 3 + 3)
    return [sensor, 10_000 + (x * px + y * py + z * pz) / 0.3, 1, 0]
  })
  return eventOf(...pulses.toSorted((a, b) => a[1] - b[1]))
}

describe('fitLine()', () => {
  it('points back to the source of the light', () => {
    const batch = planeWave(0.36, 0.48, -0.8)
    const error = angularDistance(fromSourceVector(-0.36, -0.48, 0.8), fitLine(batch, rowsOf(batch, 0)))
    // The detector is not a sphere, so the fit does not point exactly to the source of a plane wave.
    expect(error).toBeLessThan(0.25)
  })

  it('points from the later to the earlier of two sensors', () => {
    const batch = eventOf([59, 10_000, 1, 0], [0, 12_000, 1, 0])
    const { zenith } = fitLine(batch, rowsOf(batch, 0))
    // From the bottom sensor to the top one: the particle came from below.
    expect(zenith).toBeCloseTo(Math.PI, 6)
  })

  it('weights by charge on request', () => {
    const batch = eventOf([30, 10_000, 1, 0], [20, 10_500, 1, 0], [59, 11_000, 100, 0], [29, 11_001, 100, 0])
    const zenith = (isWeighted: boolean) => fitLine(batch, rowsOf(batch, 0), isWeighted).zenith
    expect(zenith(false)).toBeCloseTo(0, 6)
    expect(fitLine(batch, [0, 1], true).zenith).toBeCloseTo(Math.PI, 6)
  })
})

describe('pickedRows()', () => {
  it('keeps pulses that a neighbour on the string confirms within 350 ns, regardless of their flag', () => {
    const batch = eventOf(
      [100, 9000, 1, 0],
      [120, 10_000, 1, 1],
      [123, 10_350, 1, 1],
      [500, 10_400, 1, 0],
      [504, 10_400, 1, 0],
      [700, 11_000, 1, 1],
      [702, 11_351, 1, 1],
    )
    expect(pickedRows(batch, 0)).toEqual([1, 2])
    expect(hardRows(batch, 0)).toEqual([0, 3, 4])
  })

  it('is stricter on the dense strings: the next sensor, within 180 ns', () => {
    const batch = eventOf(
      [4700, 10_000, 1, 1],
      [4701, 10_180, 1, 1],
      [4800, 11_000, 1, 1],
      [4802, 11_000, 1, 1],
      [4900, 12_000, 1, 1],
      [4901, 12_181, 1, 1],
    )
    expect(pickedRows(batch, 0)).toEqual([0, 1])
  })

  it('does not treat ends of adjacent strings as neighbours', () => {
    const pair: Pulse[] = [
      [200, 9000, 1, 1],
      [201, 9000, 1, 1],
    ]
    expect(pickedRows(eventOf(...pair, [59, 10_000, 1, 1], [60, 10_000, 1, 1]), 0)).toEqual([0, 1])
  })

  it('does not count a sensor as its own confirmation, and uses all pulses without any confirmation', () => {
    expect(pickedRows(eventOf([10, 10_000, 1, 1], [10, 10_010, 1, 1], [99, 10_020, 1, 0]), 0)).toEqual([
      0, 1, 2,
    ])
  })

  it('uses the flag in events of more than 2000 pulses', () => {
    const pulses = Array.from({ length: 2001 }, (_, i): Pulse => [i, 10_000, 1, i % 2])
    expect(pickedRows(eventOf(...pulses), 0)).toHaveLength(1001)
  })
})
