import { describe, expect, it } from 'vitest'
import { sensorPositions } from '../../src/event/sensors.ts'
import { scaleColour } from './colour.ts'
import { exampleEvent } from './example-events.ts'
import { chargeOverTime, chargeRadius, pulseMarks, shareOf, timeWindow } from './pulse-columns.ts'

const WINDOW = { fromNs: 0, toNs: 1_000 }

function pulsesOf(hits: { id: number; timeNs: number; charge: number; isAuxiliary?: boolean }[]) {
  return exampleEvent({ hits }).pulses
}

describe('timeWindow()', () => {
  it('excludes noise and contains the light', () => {
    const light = Array.from({ length: 100 }, (_, i) => ({ id: i, timeNs: 10_000 + 20 * i, charge: 1 }))
    const noise = [0, 5_000, 25_000].map((timeNs) => ({ id: 9, timeNs, charge: 50, isAuxiliary: true }))
    const { fromNs, toNs } = timeWindow(pulsesOf([...light, ...noise]))
    expect(fromNs).toBeGreaterThan(9_000)
    expect(fromNs).toBeLessThan(10_100)
    expect(toNs).toBeGreaterThan(11_900)
    expect(toNs).toBeLessThan(13_000)
  })

  it('chooses the brighter of two particles that are too far apart in time to be one', () => {
    const at = (fromNs: number, count: number) =>
      Array.from({ length: count }, (_, i) => ({ id: i, timeNs: fromNs + 20 * i, charge: 1 }))
    const { fromNs, toNs } = timeWindow(pulsesOf([...at(9_000, 30), ...at(20_000, 90)]))
    expect(fromNs).toBeGreaterThan(19_000)
    expect(toNs).toBeLessThan(23_000)
  })

  it('has a minimum length', () => {
    const { fromNs, toNs } = timeWindow(pulsesOf([{ id: 1, timeNs: 500, charge: 1 }]))
    expect(toNs - fromNs).toBeGreaterThanOrEqual(600)
  })
})

describe('pulseMarks()', () => {
  it('puts a mark at the position of its sensor, in order of time', () => {
    const marks = pulseMarks(pulsesOf([{ id: 4_000, timeNs: 250, charge: 1 }]), WINDOW)
    expect([...marks.positions]).toEqual([...sensorPositions.subarray(12_000, 12_003)])
    expect(marks.shares[0]).toBeCloseTo(0.25)
    expect([...marks.colours].map((value) => value.toFixed(3))).toEqual(
      scaleColour(0.25).map((value) => value.toFixed(3)),
    )
  })

  it('grows a sensor with its charge, each mark replacing the previous one', () => {
    const hits = [
      { id: 3, timeNs: 100, charge: 1 },
      { id: 3, timeNs: 600, charge: 4 },
    ]
    const { radii, shares, untils, colours } = pulseMarks(pulsesOf(hits), WINDOW)
    expect(radii[0]).toBeCloseTo(chargeRadius(1), 4)
    expect(radii[1]).toBeCloseTo(chargeRadius(5), 4)
    expect(untils[0]).toBe(shares[1])
    expect(untils[1]).toBeGreaterThan(2)
    // The colour is that of the first light.
    expect([...colours.subarray(0, 3)]).toEqual([...colours.subarray(3, 6)])
  })

  it('ignores noise before the light when it chooses the colour', () => {
    const hits = [
      { id: 3, timeNs: 50, charge: 0.3, isAuxiliary: true },
      { id: 3, timeNs: 900, charge: 4 },
    ]
    const { colours, isFaint } = pulseMarks(pulsesOf(hits), WINDOW)
    expect(colours[0]).toBeCloseTo(scaleColour(0.9)[0], 5)
    expect([...isFaint]).toEqual([0, 0])
  })

  it('marks sensors that have only auxiliary pulses', () => {
    const { isFaint } = pulseMarks(pulsesOf([{ id: 3, timeNs: 50, charge: 1, isAuxiliary: true }]), WINDOW)
    expect([...isFaint]).toEqual([1])
  })

  it('shows pulses before and after the window at its ends', () => {
    expect(shareOf(WINDOW, -5_000)).toBe(0)
    expect(shareOf(WINDOW, 99_000)).toBe(1)
  })
})

describe('chargeRadius()', () => {
  it('grows with the charge up to a maximum', () => {
    expect(chargeRadius(10)).toBeGreaterThan(chargeRadius(1))
    expect(chargeRadius(1e6)).toBe(chargeRadius(1e5))
  })
})

describe('chargeOverTime()', () => {
  it('adds up the non-auxiliary charge of the window', () => {
    const hits = [
      { id: 1, timeNs: 10, charge: 2 },
      { id: 2, timeNs: 20, charge: 3 },
      { id: 3, timeNs: 990, charge: 5 },
      { id: 4, timeNs: 500, charge: 7, isAuxiliary: true },
      { id: 5, timeNs: 1_500, charge: 11 },
    ]
    expect([...chargeOverTime(pulsesOf(hits), WINDOW, 4)]).toEqual([5, 0, 0, 5])
  })
})
