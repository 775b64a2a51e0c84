import {
  Field,
  Float32,
  Int16,
  Int64,
  List,
  RecordBatchStreamWriter,
  Table,
  tableFromIPC,
  Uint8,
  Uint16,
  type Vector,
  vectorFromArray,
} from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { randomEvents } from '../../test/support/random-events.ts'
import { EventError } from '../errors.ts'
import { type ColumnToWrite, writeArrowStream } from './arrow-write.ts'
import { selectEvents, sliceEvents } from './event-batch.ts'
import { decodeEventBatch, decodeEvents, encodeEventBatch } from './wire.ts'

const listOf = (type: Uint16 | Float32 | Uint8 | Int16) => new List(new Field('item', type, true))
const ours = new Map([['nustream.schema', 'events/1']])

/** Columns as a foreign producer may send them, by name; each row a value or a list. */
function foreign(columns: Record<string, Vector>, metadata = ours): Uint8Array {
  const table = new Table(columns)
  for (const [key, value] of metadata) table.schema.metadata.set(key, value)
  return RecordBatchStreamWriter.writeAll(table).toUint8Array(true)
}

const sound = {
  event_id: vectorFromArray([17n, 18n], new Int64()),
  sensor_id: vectorFromArray([[1, 2], [3]], listOf(new Uint16())),
  time: vectorFromArray([[10, 20], [30]], listOf(new Float32())),
  charge: vectorFromArray([[1, 2], [3]], listOf(new Float32())),
  auxiliary: vectorFromArray([[0, 1], [1]], listOf(new Uint8())),
}

function faultOf(bytes: Uint8Array): { code: string; message: string } {
  try {
    decodeEventBatch(bytes)
  } catch (error) {
    if (error instanceof EventError) return { code: error.code, message: error.message }
    throw error
  }
  throw new Error('no fault')
}

describe('events on the wire', () => {
  it.each([
    { name: 'with truth', batch: randomEvents({ truth: true }) },
    { name: 'with times', batch: randomEvents({ utc: true }) },
    { name: 'with references', batch: randomEvents({ truth: true, reference: true, utc: true }) },
    { name: 'with references and no truth', batch: randomEvents({ reference: true }) },
    { name: 'without truth', batch: randomEvents() },
    { name: 'of one pulse', batch: randomEvents({ events: 1, pulsesMax: 1 }) },
    { name: 'none at all', batch: randomEvents({ events: 0 }) },
    { name: 'many', batch: randomEvents({ events: 300, pulsesMax: 300 }) },
  ])('come back as they went: $name', ({ batch }) => {
    expect(decodeEventBatch(encodeEventBatch(batch))).toEqual(batch)
  })

  it('send only the events of a view', () => {
    const batch = randomEvents({ events: 7, truth: true, reference: true })
    const sent = decodeEventBatch(encodeEventBatch(sliceEvents(batch, 2, 5)))
    expect([...sent.eventIds]).toEqual([102n, 103n, 104n])
    expect([...sent.offsets]).toEqual([...batch.offsets.subarray(2, 6)].map((row) => row - batch.offsets[2]))
    expect(sent.times).toEqual(batch.times.slice(batch.offsets[2], batch.offsets[5]))
    expect(sent.truth?.zenith).toEqual(batch.truth?.zenith.slice(2, 5))
    expect(sent.reference?.azimuth).toEqual(batch.reference?.azimuth.slice(2, 5))
    expect(sent.reference?.zenith).toEqual(batch.reference?.zenith.slice(2, 5))
  })

  it.each([
    {
      name: 'truth of more events',
      more: { truth: { azimuth: new Float64Array(3), zenith: new Float64Array(3) } },
    },
    {
      name: 'references of fewer events',
      more: { reference: { azimuth: new Float64Array(1), zenith: new Float64Array(1) } },
    },
    { name: 'times of fewer events', more: { utc: new BigInt64Array(1) } },
    { name: 'offsets of more events', more: { offsets: Int32Array.of(0, 1, 2, 3) } },
    { name: 'fewer charges than pulses', more: { charges: new Float32Array(1) } },
  ])('are refused with $name than ids', ({ more }) => {
    const batch = { ...randomEvents({ events: 2 }), ...more }
    expect(() => encodeEventBatch(batch)).toThrow(RangeError)
  })

  it('keep an unknown truth unknown', () => {
    const truth = { azimuth: Float64Array.of(1, Number.NaN), zenith: Float64Array.of(2, Number.NaN) }
    const batch = { ...randomEvents({ events: 2 }), truth }
    expect(decodeEventBatch(encodeEventBatch(batch)).truth).toEqual(truth)
    const azimuth = tableFromIPC(encodeEventBatch(batch)).getChild('azimuth')
    expect([azimuth?.get(0), azimuth?.get(1)]).toEqual([1, null])
  })

  it('decode as views of the bytes when these are aligned', () => {
    const bytes = encodeEventBatch(randomEvents({ truth: true }))
    const batch = decodeEventBatch(bytes)
    for (const array of [batch.eventIds, batch.sensorIds, batch.times, batch.charges, batch.auxiliary]) {
      expect(array.buffer).toBe(bytes.buffer)
    }
  })

  it.each([1, 2, 3, 4, 5, 6, 7])('decode from a Buffer that begins at byte %d', (shift) => {
    const batch = randomEvents({ truth: true })
    const bytes = encodeEventBatch(batch)
    const shifted = Buffer.alloc(bytes.length + shift)
    shifted.set(bytes, shift)
    expect(decodeEventBatch(shifted.subarray(shift))).toEqual(batch)
  })

  it('read as apache-arrow reads them', () => {
    const batch = randomEvents()
    const table = tableFromIPC(encodeEventBatch(batch))
    const times = [...(table.getChild('time')?.get(1) ?? [])]
    expect(times).toEqual([...batch.times.subarray(batch.offsets[1], batch.offsets[2])])
    expect(table.schema.metadata).toEqual(ours)
  })
})

describe('decodeEventBatch() of what others write', () => {
  it('takes columns in any order, with others between them', () => {
    const { event_id, ...lists } = sound
    const comment = vectorFromArray(['a', 'b'])
    const batch = decodeEventBatch(foreign({ ...lists, comment: comment.slice(), event_id }))
    expect([...batch.eventIds]).toEqual([17n, 18n])
    expect([...batch.times]).toEqual([10, 20, 30])
    expect(batch.truth).toBeUndefined()
  })

  it('puts several record batches together', () => {
    const table = new Table(sound)
    table.schema.metadata.set('nustream.schema', 'events/1')
    const two = table.concat(new Table({ ...sound, event_id: vectorFromArray([19n, 20n], new Int64()) }))
    const bytes = RecordBatchStreamWriter.writeAll(two).toUint8Array(true)
    const batch = decodeEventBatch(bytes)
    expect([...batch.eventIds]).toEqual([17n, 18n, 19n, 20n])
    expect([...batch.offsets]).toEqual([0, 2, 3, 5, 6])
  })

  it.each([
    {
      name: 'a column that is missing',
      columns: { ...sound, time: undefined },
      message: 'column time is missing; wanted list<float32>',
    },
    {
      name: 'a list of another type',
      columns: { ...sound, sensor_id: vectorFromArray([[1, 2], [3]], listOf(new Int16())) },
      message: 'column sensor_id is list<int16>; wanted list<uint16>',
    },
    {
      name: 'a column without lists',
      columns: { ...sound, charge: vectorFromArray([1, 2], new Float32()) },
      message: 'column charge is float32; wanted list<float32>',
    },
    {
      name: 'a dictionary',
      columns: { ...sound, event_id: vectorFromArray(['a', 'b']) },
      message: 'column event_id is dictionary<utf8>; wanted int64',
    },
    {
      name: 'half a truth',
      columns: { ...sound, azimuth: vectorFromArray([1, 2]) },
      message: 'column zenith is missing; truth is both or neither',
    },
    {
      name: 'half a reference',
      columns: { ...sound, reference_zenith: vectorFromArray([1, 2]) },
      message: 'column reference_azimuth is missing; a reference is both or neither',
    },
  ])('names $name', ({ columns, message }) => {
    const present = Object.entries(columns).filter(([, column]) => column !== undefined)
    expect(faultOf(foreign(Object.fromEntries(present)))).toEqual({ code: 'wire_schema_mismatch', message })
  })

  it.each([
    { found: undefined, code: 'wire_version_unknown' },
    { found: 'events/2', code: 'wire_version_unknown' },
    { found: 'events', code: 'wire_version_unknown' },
    { found: 'predictions/1', code: 'wire_schema_mismatch' },
  ])('names the schema it cannot read: $found', ({ found, code }) => {
    const fault = faultOf(foreign(sound, new Map(found ? [['nustream.schema', found]] : [])))
    expect(fault.code).toBe(code)
    expect(fault.message).toContain(found ?? 'no nustream.schema')
    expect(fault.message).toContain('events/1')
  })
})

describe('decodeEvents() saves the neighbours of an event', () => {
  it.each([
    {
      name: 'with lists of different lengths',
      spoil: { charge: vectorFromArray([[1], [3]], listOf(new Float32())) },
      code: 'wire_offsets_invalid',
      message: 'event 17: lists of different lengths: 2 sensor_id, 2 time, 1 charge, 2 auxiliary',
    },
    {
      name: 'with a null list',
      spoil: { time: vectorFromArray([null, [30]], listOf(new Float32())) },
      code: 'wire_schema_mismatch',
      message: 'event 17: time is null',
    },
    {
      name: 'with a null in a list',
      spoil: { time: vectorFromArray([[10, null], [30]], listOf(new Float32())) },
      code: 'wire_schema_mismatch',
      message: 'event 17: pulse 1 has null as time',
    },
    {
      name: 'with a value out of range',
      spoil: { sensor_id: vectorFromArray([[1, 9000], [3]], listOf(new Uint16())) },
      code: 'sensor_id_unknown',
      message: 'event 17: pulse 1 has sensor id 9000; sensors are 0 to 5159',
    },
  ])('$name', ({ spoil, code, message }) => {
    const { batch, faults } = decodeEvents(foreign({ ...sound, ...spoil }))
    expect(faults).toEqual([{ index: 0, eventId: 17n, code, message }])
    const saved = selectEvents(batch, [1])
    expect([...saved.eventIds]).toEqual([18n])
    expect([...saved.times.subarray(saved.offsets[0], saved.offsets[1])]).toEqual([30])
  })

  it('says of a null event id that it has no name', () => {
    const spoilt = { ...sound, event_id: vectorFromArray([17n, null], new Int64()) }
    expect(faultOf(foreign(spoilt)).message).toBe('event_id of row 1 is null')
  })
})

describe('offsets that cannot be', () => {
  const columns = (offsets: Int32Array): ColumnToWrite[] => [
    { name: 'event_id', values: BigInt64Array.of(17n, 18n) },
    { name: 'sensor_id', values: new Uint16Array(5), offsets: Int32Array.of(0, 3, 5) },
    { name: 'time', values: new Float32Array(5), offsets },
    { name: 'charge', values: new Float32Array(5).fill(1), offsets: Int32Array.of(0, 3, 5) },
    { name: 'auxiliary', values: new Uint8Array(5), offsets: Int32Array.of(0, 3, 5) },
  ]

  it.each([
    { name: 'descend', offsets: [0, 5, 2], message: /^event 18: offsets of column time go from 5 to 2; / },
    {
      name: 'leave the column',
      offsets: [0, 9, 9],
      message: /^event 17: offsets of column time go from 0 to 9; /,
    },
  ])('are an error of the batch that names the event: they $name', ({ offsets, message }) => {
    // apache-arrow may set them right while writing, so they are put into the bytes.
    const bytes = writeArrowStream(columns(Int32Array.of(0, 3, 5)), 2, ours)
    const body = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
    const found: number[] = []
    for (let i = 0; i + 2 < body.length; i++) {
      if (body[i] === 0 && body[i + 1] === 3 && body[i + 2] === 5) found.push(i)
    }
    expect(found).toHaveLength(4)
    body.set(offsets, found[1])
    const fault = faultOf(bytes)
    expect(fault.code).toBe('wire_offsets_invalid')
    expect(fault.message).toMatch(message)
  })
})
