import { describe, expect, it } from 'vitest'
import { type EventBatch, sliceEvents } from '../event/event-batch.ts'
import { simulateEvents } from '../simulator/simulate.ts'
import { featuresOf } from './features.ts'
import { stabilityIndex } from './psi.ts'
import { countInto, type DriftReference, makeReference } from './reference.ts'
import { DriftWindow } from './window.ts'

const batch: EventBatch = {
  eventIds: new BigInt64Array(2),
  offsets: Int32Array.of(1, 3, 7),
  sensorIds: new Uint16Array(7),
  times: new Float32Array(7),
  charges: Float32Array.of(99, 1, 2, 0.5, 0.5, 1, 2),
  auxiliary: Uint8Array.of(1, 0, 1, 1, 1, 1, 0),
}

it('featuresOf() gives pulses, mean charge and auxiliary share of each event of a view', () => {
  const { pulses, charge, auxiliary } = featuresOf(batch)
  expect([...pulses]).toEqual([2, 4])
  expect([...charge]).toEqual([1.5, 1])
  expect([...auxiliary]).toEqual([0.5, 0.75])
})

describe('stabilityIndex()', () => {
  it('is 0 for the same shares', () => {
    expect(stabilityIndex(Int32Array.of(20, 30, 50), [0.2, 0.3, 0.5])).toBeCloseTo(0, 12)
  })

  it('is what the formula gives by hand', () => {
    const expected = (0.5 - 0.25) * Math.log(2) + (0.5 - 0.75) * Math.log(0.5 / 0.75)
    expect(stabilityIndex(Int32Array.of(5, 5), [0.25, 0.75])).toBeCloseTo(expected, 12)
  })

  it('stays finite where a bin is empty, on either side', () => {
    const expected = (0.9999 + 0) * Math.log(1 / 1e-4)
    expect(stabilityIndex(Int32Array.of(10, 0), [0, 1])).toBeCloseTo(2 * expected, 3)
  })
})

describe('makeReference()', () => {
  const columns = (values: number[]) => {
    const column = Float64Array.from(values)
    return { pulses: column, charge: column, auxiliary: column }
  }

  it('makes ten bins of equal shares', () => {
    const { pulses, events } = makeReference(columns(Array.from({ length: 1000 }, (_, i) => i)), 'test')
    expect(events).toBe(1000)
    expect(pulses.edges).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 999])
    expect(pulses.shares).toEqual(new Array(10).fill(0.1))
  })

  it('makes fewer where many events share a value, and two at least', () => {
    const many = makeReference(columns([0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 'test').pulses
    expect(many.edges).toEqual([0, 1, 2, 3, 4])
    expect(many.shares).toEqual([0.6, 0.1, 0.1, 0.2])
    const one = makeReference(columns([7, 7, 7]), 'test').pulses
    expect(one).toEqual({ edges: [6, 7, 8], shares: [0, 1] })
  })
})

it('countInto() puts what lies outside of the edges into the outer bins', () => {
  const counts = new Int32Array(2)
  countInto(counts, [0, 1, 2], Float64Array.of(-5, 0, 0.99, 1, 2, 100))
  expect([...counts]).toEqual([3, 3])
})

describe('DriftWindow', () => {
  const trained = simulateEvents(1, 0, 2000)
  const reference: DriftReference = makeReference(featuresOf(trained), 'seed 1')
  const indices = (window: DriftWindow) =>
    (['pulses', 'charge', 'auxiliary'] as const).map((feature) => window.index(feature) ?? Number.NaN)

  it('finds no drift in other events of the same kind', () => {
    const window = new DriftWindow(reference)
    window.add(simulateEvents(2, 0, 1000))
    for (const index of indices(window)) expect(index).toBeLessThan(0.05)
  })

  it('finds the feature that has moved', () => {
    const louder = simulateEvents(2, 0, 1000)
    for (const [row, charge] of louder.charges.entries()) louder.charges[row] = charge * 1.3
    const window = new DriftWindow(reference)
    window.add(louder)
    const [pulses, charge, auxiliary] = indices(window)
    expect(charge).toBeGreaterThan(0.5)
    expect(pulses).toBeLessThan(0.05)
    expect(auxiliary).toBeLessThan(0.05)
  })

  it('has no index before 250 events', () => {
    const window = new DriftWindow(reference)
    window.add(sliceEvents(trained, 0, 249))
    expect(window.index('pulses')).toBeUndefined()
    window.add(sliceEvents(trained, 249, 250))
    expect(window.index('pulses')).toBeDefined()
  })

  it('drops events that are older than the window', () => {
    const window = new DriftWindow(reference, { events: 1000 })
    const dark = { ...trained, auxiliary: new Uint8Array(trained.auxiliary.length) }
    for (let at = 0; at < 2000; at += 100) window.add(sliceEvents(dark, at, at + 100))
    expect(window.events).toBe(1000)
    expect(window.index('auxiliary')).toBeGreaterThan(1)
    for (let at = 0; at < 1000; at += 100) window.add(sliceEvents(trained, at, at + 100))
    expect(window.events).toBe(1000)
    expect(window.index('auxiliary')).toBeLessThan(0.05)
  })
})
