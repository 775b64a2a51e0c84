import { describe, expect, it } from 'vitest'
import { randomEvents } from '../../test/support/random-events.ts'
import {
  concatEvents,
  type EventBatch,
  eventCount,
  selectEvents,
  sliceEvents,
  UTC_UNKNOWN,
} from './event-batch.ts'

/** An object per event, to compare with. */
function spellOut(batch: EventBatch): unknown[] {
  return Array.from({ length: eventCount(batch) }, (_, i) => {
    const [from, to] = [batch.offsets[i], batch.offsets[i + 1]]
    return {
      id: batch.eventIds[i],
      sensors: [...batch.sensorIds.subarray(from, to)],
      times: [...batch.times.subarray(from, to)],
      charges: [...batch.charges.subarray(from, to)],
      auxiliary: [...batch.auxiliary.subarray(from, to)],
      utc: batch.utc?.[i] ?? UTC_UNKNOWN,
      reference: [batch.reference?.azimuth[i] ?? Number.NaN, batch.reference?.zenith[i] ?? Number.NaN],
      truth: batch.truth && [batch.truth.azimuth[i], batch.truth.zenith[i], batch.truth.topology?.[i] ?? 0],
    }
  })
}

const random = randomEvents({ events: 6, truth: true, reference: true, utc: true })
const batch: EventBatch = {
  ...random,
  ...(random.truth && { truth: { ...random.truth, topology: Uint8Array.of(0, 1, 2, 3, 2, 1) } }),
}

describe('selectEvents()', () => {
  it.each([
    { name: 'out of order', indices: [4, 0, 2] },
    { name: 'twice', indices: [1, 1] },
    { name: 'none', indices: [] },
    { name: 'all', indices: [0, 1, 2, 3, 4, 5] },
    { name: 'the last', indices: [5] },
  ])('gives the events asked for: $name', ({ indices }) => {
    const all = spellOut(batch)
    expect(spellOut(selectEvents(batch, indices))).toEqual(indices.map((i) => all[i]))
  })

  it('selects from a view as from a whole batch', () => {
    expect(spellOut(selectEvents(sliceEvents(batch, 2, 6), [3, 0]))).toEqual(
      spellOut(selectEvents(batch, [5, 2])),
    )
  })

  it('copies no pulse for neighbours in order', () => {
    expect(selectEvents(batch, [2, 3, 4]).times).toBe(batch.times)
  })

  it.each([-1, 6, 1.5])('refuses the index %d', (index) => {
    expect(() => selectEvents(batch, [index])).toThrow(RangeError)
  })
})

describe('concatEvents()', () => {
  it('puts whole batches and views one after the other', () => {
    const other = randomEvents({ seed: 2, truth: true })
    const joined = concatEvents([sliceEvents(batch, 1, 4), other, sliceEvents(batch, 0, 0)])
    expect(spellOut(joined)).toEqual([...spellOut(batch).slice(1, 4), ...spellOut(other)])
  })

  it('gives one batch back itself, and none as an empty one', () => {
    expect(concatEvents([batch])).toBe(batch)
    expect(eventCount(concatEvents([]))).toBe(0)
    expect([...concatEvents([]).offsets]).toEqual([0])
  })

  it('marks the reference of a batch without it as unknown', () => {
    const joined = concatEvents([randomEvents({ events: 1 }), sliceEvents(batch, 1, 2)])
    expect([...(joined.reference?.zenith ?? [])]).toEqual([Number.NaN, batch.reference?.zenith[1]])
  })

  it('marks the truth of a batch without it as unknown', () => {
    const joined = concatEvents([randomEvents({ events: 1 }), sliceEvents(batch, 0, 1)])
    expect([...(joined.truth?.azimuth ?? [])]).toEqual([Number.NaN, batch.truth?.azimuth[0]])
  })
})
