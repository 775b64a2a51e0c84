import { describe, expect, it } from 'vitest'
import type { EventBatch } from '../../event/event-batch.ts'
import type { PulsesSpec } from '../model/manifest.ts'
import { buildSelectPulses } from './select-pulses.ts'

const plain: PulsesSpec = {
  keep: 'all',
  hlcMin: 1,
  min: 1,
  max: null,
  prefer: 'none',
  by: 'time',
  order: 'time',
}

/** One event whose rows begin at 2 of the batch's arrays. */
function batchOf(times: number[], charges: number[], auxiliary: number[]): EventBatch {
  const pad = [0, 0]
  return {
    eventIds: BigInt64Array.of(1n),
    offsets: Int32Array.of(2, 2 + times.length),
    sensorIds: new Uint16Array(2 + times.length),
    times: Float32Array.from([...pad, ...times]),
    charges: Float32Array.from([...pad, ...charges]),
    auxiliary: Uint8Array.from([...pad, ...auxiliary]),
  }
}

//            row - 2:  0   1   2   3   4   5
const batch = batchOf([10, 20, 30, 40, 50, 60], [1, 6, 2, 5, 3, 4], [1, 0, 1, 0, 1, 0])
const unsorted = batchOf([30, 10, 20, 10], [1, 2, 3, 4], [0, 0, 0, 0])

const cases: { name: string; spec: Partial<PulsesSpec>; from?: EventBatch; rows: number[] }[] = [
  { name: 'all of them without a cap', spec: {}, rows: [0, 1, 2, 3, 4, 5] },
  { name: 'the earliest', spec: { max: 3 }, rows: [0, 1, 2] },
  { name: 'the brightest, in time order', spec: { max: 3, by: 'charge' }, rows: [1, 3, 5] },
  { name: 'every second in time', spec: { max: 3, by: 'spread' }, rows: [0, 2, 4] },
  { name: 'non-auxiliary ones first', spec: { max: 3, prefer: 'hlc' }, rows: [1, 3, 5] },
  { name: 'auxiliary ones to fill up, earliest first', spec: { max: 4, prefer: 'hlc' }, rows: [0, 1, 3, 5] },
  {
    name: 'auxiliary ones to fill up, brightest first',
    spec: { max: 4, prefer: 'hlc', by: 'charge' },
    rows: [1, 3, 4, 5],
  },
  {
    name: 'auxiliary ones to fill up, spread in time',
    spec: { max: 5, prefer: 'hlc', by: 'spread' },
    rows: [0, 1, 2, 3, 5],
  },
  { name: 'a spread of the non-auxiliary', spec: { max: 2, prefer: 'hlc', by: 'spread' }, rows: [1, 3] },
  { name: 'the earliest of the non-auxiliary', spec: { max: 2, prefer: 'hlc' }, rows: [1, 3] },
  { name: 'no more than there are', spec: { max: 6, prefer: 'hlc', by: 'charge' }, rows: [0, 1, 2, 3, 4, 5] },
  { name: 'only non-auxiliary ones', spec: { keep: 'hlc', hlcMin: 3 }, rows: [1, 3, 5] },
  {
    name: 'all of them where too few are not auxiliary',
    spec: { keep: 'hlc', hlcMin: 4 },
    rows: [0, 1, 2, 3, 4, 5],
  },
  { name: 'by descending charge', spec: { order: 'charge' }, rows: [1, 3, 5, 4, 2, 0] },
  { name: 'an event in time order, ties by row', spec: {}, from: unsorted, rows: [1, 3, 2, 0] },
  { name: 'the earliest of an unsorted event', spec: { max: 2 }, from: unsorted, rows: [1, 3] },
  {
    name: 'an unsorted event as it is given',
    spec: { order: 'as-given' },
    from: unsorted,
    rows: [0, 1, 2, 3],
  },
  { name: 'a cut in row order', spec: { order: 'as-given', max: 3 }, from: unsorted, rows: [1, 2, 3] },
]

describe('buildSelectPulses()', () => {
  it.each(cases)('takes $name', ({ spec, from = batch, rows }) => {
    const into = new Int32Array(10)
    const chosen = buildSelectPulses({ ...plain, ...spec })(from, 0, into, 3)
    expect(Array.from(into.subarray(3, 3 + chosen), (row) => row - 2)).toEqual(rows)
    expect([...into.subarray(0, 3)]).toEqual([0, 0, 0])
  })

  it('takes 178,250 pulses of one event', () => {
    const pulses = 178_250
    const times = Float32Array.from({ length: pulses }, (_, i) => (i * 7919) % pulses)
    const huge: EventBatch = {
      eventIds: BigInt64Array.of(1n),
      offsets: Int32Array.of(0, pulses),
      sensorIds: new Uint16Array(pulses),
      times,
      charges: times,
      auxiliary: new Uint8Array(pulses),
    }
    const rows = new Int32Array(pulses)
    expect(buildSelectPulses({ ...plain, max: 128, by: 'charge' })(huge, 0, rows, 0)).toBe(128)
    expect(times[rows[0]]).toBe(pulses - 128)
    expect(times[rows[127]]).toBe(pulses - 1)
  })
})
