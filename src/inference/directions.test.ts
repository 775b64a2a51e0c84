import { describe, expect, it } from 'vitest'
import {
  allocateDirections,
  assertDirections,
  concatDirections,
  type Directions,
  scatterDirections,
  setFault,
  sliceDirections,
} from './directions.ts'

/** Every value says of which event and column it is: event 3 has azimuth 3.1, zenith 3.2, kappa 3.3. */
function numbered(events: readonly number[]): Directions {
  return {
    azimuth: Float64Array.from(events, (event) => event + 0.1),
    zenith: Float64Array.from(events, (event) => event + 0.2),
    kappa: Float64Array.from(events, (event) => event + 0.3),
    degenerate: Uint8Array.from(events, (event) => event % 2),
    faults: [],
  }
}

const fault = (index: number) => ({ index, code: 'model_failed', message: `fault ${index}` }) as const

describe('allocateDirections', () => {
  it('holds NaN for every event, no fault and no vectors', () => {
    const { faults, degenerate, vectors, ...columns } = allocateDirections(2)
    for (const column of Object.values(columns)) expect([...column]).toEqual([Number.NaN, Number.NaN])
    expect([...degenerate]).toEqual([0, 0])
    expect(faults).toEqual([])
    expect(vectors).toBeUndefined()
  })

  it('has three components of a vector for each event where they are kept', () => {
    expect(allocateDirections(2, { keepsVectors: true }).vectors).toHaveLength(6)
  })
})

it('setFault() clears every column of that event and of no other', () => {
  const directions = numbered([1, 3, 5])
  setFault(directions, 1, 'model_failed', 'too short')
  const { azimuth, zenith, kappa, degenerate, faults } = directions
  expect([...azimuth]).toEqual([1.1, Number.NaN, 5.1])
  expect([...zenith]).toEqual([1.2, Number.NaN, 5.2])
  expect([...kappa]).toEqual([1.3, Number.NaN, 5.3])
  expect([...degenerate]).toEqual([1, 0, 1])
  expect(faults).toEqual([{ index: 1, code: 'model_failed', message: 'too short' }])
})

describe('sliceDirections', () => {
  it('takes the same events from every column', () => {
    expect(sliceDirections(numbered([0, 1, 2, 3]), 1, 3)).toEqual(numbered([1, 2]))
  })

  it('counts faults from its first event and leaves those of other events out', () => {
    const directions = { ...numbered([0, 1, 2, 3]), faults: [fault(0), fault(1), fault(2), fault(3)] }
    expect(sliceDirections(directions, 1, 3).faults.map(({ index, message }) => [index, message])).toEqual([
      [0, 'fault 1'],
      [1, 'fault 2'],
    ])
  })

  it('takes three components of a vector for each event', () => {
    const directions = { ...numbered([0, 1, 2]), vectors: Float64Array.from({ length: 9 }, (_, i) => i) }
    expect(sliceDirections(directions, 1, 2).vectors).toEqual(Float64Array.of(3, 4, 5))
  })
})

describe('scatterDirections', () => {
  it('stores every column from an event on', () => {
    const into = numbered([0, 0, 0, 0])
    scatterDirections(into, numbered([7, 8]), 1)
    expect(into).toEqual(numbered([0, 7, 8, 0]))
  })

  it('stores every column at the indices given', () => {
    const into = numbered([0, 0, 0, 0])
    scatterDirections(into, numbered([7, 8, 9]), Int32Array.of(3, 0, 1))
    expect(into).toEqual(numbered([8, 9, 0, 7]))
  })

  it('moves faults to where their events go', () => {
    const part = { ...numbered([7, 8]), faults: [fault(1)] }
    const into = allocateDirections(4)
    scatterDirections(into, part, 2)
    scatterDirections(into, part, Int32Array.of(1, 0))
    expect(into.faults.map(({ index }) => index)).toEqual([3, 0])
  })

  it.each(['azimuth', 'zenith', 'kappa', 'degenerate'] as const)(
    'refuses a part whose column %s is longer than its indices',
    (column) => {
      const part = { ...numbered([7, 8]), [column]: numbered([7, 8, 9])[column] }
      expect(() => scatterDirections(allocateDirections(4), part, Int32Array.of(0, 1))).toThrow(
        `3 values of ${column} for 2 events`,
      )
    },
  )

  it('refuses columns that differ in length where no indices are given', () => {
    const part = { ...numbered([7, 8]), zenith: Float64Array.of(1) }
    expect(() => scatterDirections(allocateDirections(4), part, 0)).toThrow('1 values of zenith for 2 events')
  })

  it.each([{ at: 3 }, { at: -1 }, { at: Int32Array.of(0, 4) }, { at: Int32Array.of(0, -1) }])(
    'refuses to store events at $at, outside of the columns',
    ({ at }) => {
      expect(() => scatterDirections(allocateDirections(4), numbered([7, 8]), at)).toThrow(RangeError)
    },
  )
})

describe('concatDirections', () => {
  it('joins every column in order', () => {
    expect(concatDirections([numbered([0, 1]), numbered([]), numbered([2])])).toEqual(numbered([0, 1, 2]))
  })

  it('counts faults over all parts', () => {
    const parts = [numbered([0, 1]), { ...numbered([2, 3]), faults: [fault(1)] }]
    expect(concatDirections(parts).faults).toEqual([{ ...fault(1), index: 3 }])
  })

  it('refuses a part that holds more values in one column than in another', () => {
    const overlong = { ...numbered([0, 1]), kappa: new Float64Array(3) }
    expect(() => concatDirections([overlong, numbered([2])])).toThrow('3 values of kappa for 2 events')
  })
})

describe('assertDirections', () => {
  it('accepts directions of exactly so many events', () => {
    expect(() => assertDirections({ ...numbered([0, 1]), faults: [fault(1)] }, 2)).not.toThrow()
  })

  it.each([1, 3])('refuses directions of two events as those of %i', (events) => {
    expect(() => assertDirections(numbered([0, 1]), events)).toThrow(RangeError)
  })

  it.each([-1, 2, 0.5, Number.NaN])('refuses a fault of event %d', (index) => {
    expect(() => assertDirections({ ...numbered([0, 1]), faults: [fault(index)] }, 2)).toThrow(RangeError)
  })

  it('refuses vectors that are not three components for each event', () => {
    const directions = { ...numbered([0, 1]), vectors: new Float64Array(7) }
    expect(() => assertDirections(directions, 2)).toThrow('7 vector components')
  })
})
