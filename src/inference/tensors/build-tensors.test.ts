import { describe, expect, it } from 'vitest'
import { SUM_MANIFEST } from '../../../test/support/model-folder.ts'
import type { EventBatch } from '../../event/event-batch.ts'
import { SENSOR_COUNT, sensorPositions } from '../../event/sensors.ts'
import { manifestSchema } from '../model/manifest.ts'
import { buildBuildTensors } from './build-tensors.ts'
import type { Run } from './features.ts'

// Sensor 4691: string index 78 (DeepCore), DOM index 11. Sensor 0: string 0, top.
const batch: EventBatch = {
  eventIds: BigInt64Array.of(1n, 2n, 3n),
  offsets: Int32Array.of(0, 1, 3, 6),
  sensorIds: Uint16Array.of(5000, 0, 4691, 0, 60, 4690),
  times: Float32Array.of(1, 10_000, 10_300, 9_000, 9_500, 9_900),
  charges: Float32Array.of(1, 1, 100, 10, 0.1, 2.5),
  auxiliary: Uint8Array.of(0, 1, 0, 1, 0, 0),
}
/** Events 1 (two pulses) and 2 (three). */
const run: Run = {
  batch,
  events: Int32Array.of(1, 2),
  rows: Int32Array.of(1, 2, 3, 4, 5),
  starts: Int32Array.of(0, 2, 5),
}

function tensorsOf(inputs: unknown[], more: object = {}) {
  return buildBuildTensors(manifestSchema.parse({ ...SUM_MANIFEST, inputs, ...more }))(run)
}

const numbers = (data: Iterable<number | bigint>): number[] => Array.from(data, Number)
const pulse = (column: string, unit: string, more: object = {}) => ({ column, unit, ...more })
const mask = { name: 'mask', layout: 'mask', dtype: 'bool', trueMeans: 'pulse' }

describe('buildBuildTensors()', () => {
  it('makes IceMix-style inputs', () => {
    const at = (column: string) => pulse(column, 'm', { scale: 500 })
    const {
      pos,
      charge,
      time,
      auxiliary,
      mask: shown,
      L0,
    } = tensorsOf([
      { name: 'pos', layout: 'padded', dtype: 'float32', features: [at('x'), at('y'), at('z')] },
      {
        name: 'charge',
        layout: 'padded-column',
        dtype: 'float32',
        features: [pulse('charge', 'p.e.', { transform: 'log10', scale: 3 })],
      },
      {
        name: 'time',
        layout: 'padded-column',
        dtype: 'float32',
        features: [pulse('time', 'ns', { offset: 10_000, scale: 30_000 })],
      },
      { name: 'auxiliary', layout: 'padded-column', dtype: 'int64', features: [pulse('auxiliary', '1')] },
      mask,
      {
        name: 'L0',
        layout: 'event-column',
        dtype: 'float32',
        features: [pulse('pulseCount', '1', { transform: 'log10' })],
      },
    ])
    expect(pos.shape).toEqual([2, 3, 3])
    expect(pos.data[3]).toBeCloseTo(sensorPositions[4691 * 3] / 500, 6)
    expect(numbers(pos.data).slice(6, 9)).toEqual([0, 0, 0])
    expect(numbers(charge.data).map((value) => Number(value.toFixed(4)))).toEqual([
      0, 0.6667, 0, 0.3333, -0.3333, 0.1326,
    ])
    expect(time.shape).toEqual([2, 3])
    expect(numbers(time.data)[1]).toBeCloseTo(0.01, 7)
    expect(auxiliary.data).toEqual(BigInt64Array.of(1n, 0n, 0n, 1n, 0n, 0n))
    expect(shown).toEqual({ dtype: 'bool', shape: [2, 3], data: Uint8Array.of(1, 1, 0, 1, 1, 1) })
    expect(L0.shape).toEqual([2])
    expect(numbers(L0.data)[1]).toBeCloseTo(Math.log10(3), 6)
  })

  it('rounds the position of every sensor as IceMix was trained: which neighbours are equally far hangs on the last bit', () => {
    const sensorIds = Uint16Array.from({ length: SENSOR_COUNT }, (_, sensor) => sensor)
    const rows = Int32Array.from(sensorIds)
    const all: EventBatch = {
      eventIds: BigInt64Array.of(1n),
      offsets: Int32Array.of(0, SENSOR_COUNT),
      sensorIds,
      times: new Float32Array(SENSOR_COUNT),
      charges: new Float32Array(SENSOR_COUNT).fill(1),
      auxiliary: new Uint8Array(SENSOR_COUNT),
    }
    const at = (column: string) => pulse(column, 'm', { scale: 500 })
    const inputs = [{ name: 'pos', layout: 'flat', dtype: 'float32', features: [at('x'), at('y'), at('z')] }]
    const build = buildBuildTensors(manifestSchema.parse({ ...SUM_MANIFEST, inputs }))
    const { pos } = build({
      batch: all,
      events: Int32Array.of(0),
      rows,
      starts: Int32Array.of(0, SENSOR_COUNT),
    })
    // Metres in centimetre steps, rounded to float32, then divided in float32.
    const asTrained = sensorPositions.map((metres) =>
      Math.fround(Math.fround(Math.round(metres * 100) / 100) / 500),
    )
    expect(pos.data).toEqual(asTrained)
  })

  it('makes flat inputs with lengths, offsets and event indices', () => {
    const { hits, lengths, offsets, owner } = tensorsOf([
      { name: 'hits', layout: 'flat', dtype: 'float32', features: [pulse('time', 'ns'), pulse('hlc', '1')] },
      { name: 'lengths', layout: 'lengths', dtype: 'int64' },
      { name: 'offsets', layout: 'offsets', dtype: 'int32' },
      { name: 'owner', layout: 'event-index', dtype: 'int64' },
    ])
    expect(hits.shape).toEqual([5, 2])
    expect(numbers(hits.data)).toEqual([10_000, 0, 10_300, 1, 9_000, 0, 9_500, 1, 9_900, 1])
    expect(lengths).toEqual({ dtype: 'int64', shape: [2], data: BigInt64Array.of(2n, 3n) })
    expect(offsets).toEqual({ dtype: 'int32', shape: [3], data: Int32Array.of(0, 2, 5) })
    expect(owner.data).toEqual(BigInt64Array.of(0n, 0n, 1n, 1n, 1n))
  })

  it.each([
    {
      name: 'time since the first pulse',
      feature: pulse('timeSinceFirst', 'ns'),
      values: [0, 300, 0, 500, 900],
    },
    {
      name: 'logarithm of the time since the first pulse',
      feature: pulse('timeSinceFirst', 'ns', { transform: 'log1p', scale: Math.log(901) }),
      values: [0, Math.log(301), 0, Math.log(501), Math.log(901)].map((value) =>
        Number((value / Math.log(901)).toFixed(9)),
      ),
    },
    {
      name: 'time since the first non-auxiliary pulse',
      feature: pulse('timeSinceFirstHlc', 'ns'),
      values: [-300, 0, -500, 0, 400],
    },
    { name: 'pulse index', feature: pulse('pulseIndex', '1'), values: [0, 1, 0, 1, 2] },
    { name: 'pulse count', feature: pulse('pulseCount', '1'), values: [2, 2, 3, 3, 3] },
    {
      name: 'non-auxiliary count',
      feature: pulse('hlcCount', '1', { scale: 2 }),
      values: [0.5, 0.5, 1, 1, 1],
    },
    {
      name: 'clipped time',
      feature: pulse('time', 'ns', { clip: [9_200, 10_100] }),
      values: [10_000, 10_100, 9_200, 9_500, 9_900],
    },
    {
      name: 'efficiency',
      feature: pulse('quantumEfficiency', '1', { lookup: 'physical' }),
      values: [1, 1.35, 1, 1, 1.35],
    },
    {
      name: "IceMix's efficiency",
      feature: pulse('quantumEfficiency', '1', { lookup: 'icemix' }),
      values: [0, 1, 0, 0, 0],
    },
    { name: 'string', feature: pulse('stringIndex', '1'), values: [0, 78, 0, 1, 78] },
    { name: 'place on the string', feature: pulse('domIndex', '1'), values: [0, 11, 0, 0, 10] },
    { name: 'sensor', feature: pulse('sensorId', '1'), values: [0, 4691, 0, 60, 4690] },
  ])('knows the column $name', ({ feature, values }) => {
    const { column } = tensorsOf([
      { name: 'column', layout: 'flat-column', dtype: 'float64', features: [feature] },
    ])
    expect(numbers(column.data).map((value) => Number(value.toFixed(9)))).toEqual(values)
  })

  it('mirrors the ice about the centre where a manifest asks for it as IceMix had it', () => {
    const ice = (lookup: string) => pulse('absorptionLength', 'm', { lookup })
    const { both } = tensorsOf([
      { name: 'both', layout: 'flat', dtype: 'float64', features: [ice('physical'), ice('icemix')] },
    ])
    // The bottom half is clearer than the top half: sensor 0 is near the top, and the mirrored lookup sees the bottom.
    expect(Number(both.data[1])).toBeGreaterThan(Number(both.data[0]))
  })

  it('rounds to half precision once, from double', () => {
    const halfway = 1 + 2 ** -11 + 2 ** -30
    const { time } = tensorsOf([
      {
        name: 'time',
        layout: 'flat-column',
        dtype: 'float16',
        features: [pulse('time', 'ns', { offset: 10_000 - halfway })],
      },
    ])
    expect(time.data).toBeInstanceOf(Float16Array)
    // Rounded to single precision first, 1 + 2^-11 + 2^-30 would be a tie and fall to 1.
    expect(Number(time.data[0])).toBe(1 + 2 ** -10)
  })

  it.each([
    { rule: { multipleOf: 8, min: 1 }, length: 8 },
    { rule: { multipleOf: 1, min: 9 }, length: 9 },
    { rule: { multipleOf: 2, min: 1 }, length: 4 },
    { rule: { fixed: 16 }, length: 16 },
  ])('pads to $length by $rule, and says so in a mask that means padding', ({ rule, length }) => {
    const feature = pulse('time', 'ns')
    const { time, mask: padding } = tensorsOf(
      [
        { name: 'time', layout: 'padded-column', dtype: 'float32', features: [feature], padding: -1 },
        { ...mask, dtype: 'float32', trueMeans: 'padding' },
      ],
      { paddedLength: rule, pulses: { ...SUM_MANIFEST.pulses, max: 16 } },
    )
    expect(time.shape).toEqual([2, length])
    expect(numbers(time.data).slice(2, length)).toEqual(new Array<number>(length - 2).fill(-1))
    expect(numbers(padding.data).slice(0, length)).toEqual([0, 0, ...new Array<number>(length - 2).fill(1)])
  })

  it('leaves nothing of an earlier, larger run', () => {
    const build = buildBuildTensors(manifestSchema.parse(SUM_MANIFEST))
    build(run)
    const small = { ...run, events: Int32Array.of(0), rows: Int32Array.of(0), starts: Int32Array.of(0, 1) }
    expect(build(small)['pulses'].data).toHaveLength(6)
    const again = build(run)
    expect(numbers(again['pulses'].data).slice(12, 18)).toEqual([0, 0, 0, 0, 0, 0])
    expect(numbers(again['padding'].data)).toEqual([0, 0, 1, 0, 0, 0])
  })
})
