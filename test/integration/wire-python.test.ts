import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { UTC_UNKNOWN } from '../../src/event/event-batch.ts'
import { decodePredictionBatch, encodePredictionBatch } from '../../src/event/prediction-wire.ts'
import { decodeEventBatch, decodeEvents, encodeEventBatch } from '../../src/event/wire.ts'
import { NO_PYTHON, openPython, runPython } from '../support/python.ts'
import { randomEvents } from '../support/random-events.ts'

const python = (await openPython()) ?? ''
beforeEach((t) => t.skip(!python, NO_PYTHON))

const run = (script: string, input?: Uint8Array) =>
  runPython(python, ['-c', script], input ? { input } : undefined)

/** What a producer may have: two events, and a schema of the published types. */
const PREAMBLE = `
import sys, pyarrow as pa
def listed(type): return pa.list_(type)
columns = {
  "event_id": pa.array([17, 2147483627], pa.int64()),
  "sensor_id": pa.array([[0, 5159], [3]], listed(pa.uint16())),
  "time": pa.array([[10.5, 20], [30]], listed(pa.float32())),
  "charge": pa.array([[1, 2.5], [3]], listed(pa.float32())),
  "auxiliary": pa.array([[0, 1], [1]], listed(pa.uint8())),
}
def send(columns, options=None, format=pa.ipc.new_stream, rows=None, schema=None, **metadata):
    table = pa.table(columns, schema=schema).replace_schema_metadata({"nustream.schema": "events/1", **metadata})
    with format(sys.stdout.buffer, table.schema, options=options) as writer:
        writer.write_table(table, rows)
`

const expected = {
  eventIds: BigInt64Array.of(17n, 2_147_483_627n),
  offsets: Int32Array.of(0, 2, 3),
  sensorIds: Uint16Array.of(0, 5159, 3),
  times: Float32Array.of(10.5, 20, 30),
  charges: Float32Array.of(1, 2.5, 3),
  auxiliary: Uint8Array.of(0, 1, 1),
}

describe('a stream that pyarrow wrote', () => {
  it.each([
    { name: 'plainly', script: 'send(columns)' },
    { name: 'as a file', script: 'send(columns, format=pa.ipc.new_file)' },
    { name: 'in two record batches', script: 'send(columns, rows=1)' },
    {
      name: 'without nullable fields',
      script: `
def filled(type): return pa.list_(pa.field("item", type.value_type, nullable=False)) if pa.types.is_list(type) else type
send(columns, schema=pa.schema([pa.field(n, filled(c.type), nullable=False) for n, c in columns.items()]))
`,
    },
    {
      name: 'from a slice of a longer table',
      script: `
longer = pa.concat_tables([pa.table(columns).slice(1), pa.table(columns), pa.table(columns)]).combine_chunks()
send({name: longer[name].slice(1, 2) for name in longer.column_names})
`,
    },
    {
      name: 'from a slice of the values',
      script: `
values = pa.array([9, 9, 0, 5159, 3], pa.uint16())
send({**columns, "sensor_id": pa.ListArray.from_arrays(pa.array([2, 4, 5], pa.int32()), values)})
`,
    },
    {
      name: 'with large lists',
      script:
        'listed = pa.large_list\nsend({n: c.cast(listed(c.type.value_type)) if n != "event_id" else c for n, c in columns.items()})',
    },
    {
      name: 'with columns of its own between ours',
      script:
        'send({"note": pa.array(["a", None]), "tags": pa.array([[{"x": 1}], []]), "kind": pa.array(["a", "b"]).dictionary_encode(), **columns})',
    },
    {
      name: 'with columns of every other type before and after ours',
      script: `
text, long = "a string of more than twelve bytes", b"x" * 5000
others = [
  pa.array([text, "b"], pa.string_view()),
  pa.array([None, long], pa.binary_view()),
  pa.array([["a", "b"], None], pa.list_view(pa.string())),
  pa.array([[1], []], pa.large_list_view(pa.int64())),
  pa.array([[text], []], pa.list_(pa.string_view())),
  pa.array([{"a": text, "b": [1]}, None], pa.struct([("a", pa.string_view()), ("b", pa.list_view(pa.int8()))])),
  pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a"])),
  pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]),
  pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["a"])]),
  pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([text, "b"], pa.string_view())),
  pa.array([1, 2], pa.decimal256(40)),
  pa.array([1, 2], pa.decimal32(5)),
  pa.array([1, None], pa.float16()),
  pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
  pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string_view())),
  pa.nulls(2),
]
before = {f"before{i}": other for i, other in enumerate(others)}
send({**before, **columns, **{f"after{i}": other for i, other in enumerate(others)}})
`,
    },
    { name: 'for IceCube-86 by name', script: 'send(columns, **{"nustream.detector": "icecube-86"})' },
    { name: 'with more metadata', script: 'send(columns, pandas="{}", author="ü" * 5000)' },
    {
      name: 'from pandas-like numpy arrays',
      script: `
import numpy as np
offsets = np.array([0, 2, 3], np.int32)
send({**columns, "time": pa.ListArray.from_arrays(offsets, np.array([10.5, 20, 30], np.float32))})
`,
    },
  ])('is read: written $name', async ({ script }) => {
    expect(decodeEventBatch(await run(PREAMBLE + script))).toEqual(expected)
  })

  it('is read with its truth, null where it is not known', async () => {
    const script = `send({**columns, "azimuth": [1.5, None], "zenith": [0.25, None]})`
    const { truth } = decodeEventBatch(await run(PREAMBLE + script))
    expect(truth).toEqual({
      azimuth: Float64Array.of(1.5, Number.NaN),
      zenith: Float64Array.of(0.25, Number.NaN),
    })
  })

  it.each(['pa.int64()', 'pa.timestamp("ns", "UTC")', 'pa.timestamp("ns")'])(
    'is read with the time of each event, null where it is not known: %s',
    async (type) => {
      const script = `send({**columns, "utc": pa.array([1795000000123456789, None], ${type})})`
      const { utc } = decodeEventBatch(await run(PREAMBLE + script))
      expect(utc).toEqual(BigInt64Array.of(1_795_000_000_123_456_789n, UTC_UNKNOWN))
    },
  )

  it('is refused where its times are of another unit', async () => {
    const bytes = await run(
      `${PREAMBLE}send({**columns, "utc": pa.array([1, 2], pa.timestamp("ms", "UTC"))})`,
    )
    const message = 'column utc is timestamp[ms]; wanted int64'
    expect(() => decodeEventBatch(bytes)).toThrow(
      expect.objectContaining({ code: 'wire_schema_mismatch', message }),
    )
  })

  it('is read without events', async () => {
    const script = 'send({name: column.slice(0, 0) for name, column in columns.items()})'
    expect(decodeEventBatch(await run(PREAMBLE + script)).eventIds).toHaveLength(0)
  })

  it.each([
    {
      name: 'compressed',
      script: 'send(columns, pa.ipc.IpcWriteOptions(compression="zstd"))',
      code: 'wire_unreadable',
      message: 'the Arrow record batch is compressed; write it without compression',
    },
    {
      name: 'with the integers that Python prefers',
      script: 'send({**columns, "sensor_id": pa.array([[0, 5159], [3]])})',
      code: 'wire_schema_mismatch',
      message: 'column sensor_id is list<int64>; wanted list<uint16>',
    },
    {
      name: 'with booleans',
      script: 'send({**columns, "auxiliary": pa.array([[False, True], [True]])})',
      code: 'wire_schema_mismatch',
      message: 'column auxiliary is list<bool>; wanted list<uint8>',
    },
    {
      name: 'with lists of fixed size',
      script: 'send({**columns, "time": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2))})',
      code: 'wire_schema_mismatch',
      message: 'column time is fixed_size_list<float32>; wanted list<float32>',
    },
    {
      name: 'for another detector',
      script: 'send(columns, **{"nustream.detector": "ARCA21"})',
      code: 'detector_unknown',
      message: 'the events are of the detector "ARCA21"; this build reconstructs those of IceCube-86',
    },
    {
      name: 'with a list view in place of a list',
      script: 'send({**columns, "time": pa.array([[10.5, 20], [30]], pa.list_view(pa.float32()))})',
      code: 'wire_schema_mismatch',
      message: 'column time is list_view<float32>; wanted list<float32>',
    },
  ])('is refused by name: written $name', async ({ script, code, message }) => {
    const bytes = await run(PREAMBLE + script)
    expect(() => decodeEventBatch(bytes)).toThrow(expect.objectContaining({ code, message }))
  })

  it('loses only the events that hold nulls', async () => {
    const script = 'send({**columns, "time": pa.array([None, [30]], pa.list_(pa.float32()))})'
    const { faults, batch } = decodeEvents(await run(PREAMBLE + script))
    expect(faults.map((fault) => fault.message)).toEqual(['event 17: time is null'])
    expect([...batch.sensorIds.subarray(batch.offsets[1], batch.offsets[2])]).toEqual([3])
  })

  it('is what a garbage producer did not write', async () => {
    const pickle = await run('import sys, pickle; sys.stdout.buffer.write(pickle.dumps({"event_id": 24}))')
    expect(() => decodeEventBatch(pickle)).toThrow(expect.objectContaining({ code: 'wire_unreadable' }))
  })
})

const TO_JSON = `
import sys, json, pyarrow as pa
table = pa.ipc.open_stream(sys.stdin.buffer.read()).read_all()
table.validate(full=True)
metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
types = {field.name: str(field.type) for field in table.schema}
print(json.dumps({"columns": table.to_pydict(), "metadata": metadata, "types": types}))
`

const predictions = {
  origin: { batchId: 'b', model: 'm', modelVersion: '1', consumer: 'c', emittedAtMs: 1, predictedAtMs: 2 },
  eventIds: BigInt64Array.of(24n, 41n),
  azimuth: Float64Array.of(1, 2),
  zenith: Float64Array.of(0.5, 1.5),
  kappa: Float64Array.of(12.5, Number.NaN),
  degenerate: Uint8Array.of(0, 1),
  pulses: Int32Array.of(61, 51),
  truth: { azimuth: Float64Array.of(1, Number.NaN), zenith: Float64Array.of(0.75, Number.NaN) },
}

const toNullable = (column: Float64Array | undefined) =>
  Array.from(column ?? [], (value) => (Number.isNaN(value) ? null : value))

describe('pyarrow reads', () => {
  it('our events, value for value', async () => {
    const batch = randomEvents({ events: 50, pulsesMax: 40, truth: true, reference: true })
    const read = JSON.parse(String(await run(TO_JSON, encodeEventBatch(batch))))
    const lists = (values: Uint16Array | Float32Array | Uint8Array) =>
      Array.from(batch.eventIds, (_, i) => [...values.subarray(batch.offsets[i], batch.offsets[i + 1])])
    expect(read.columns).toEqual({
      event_id: Array.from(batch.eventIds, Number),
      sensor_id: lists(batch.sensorIds),
      time: lists(batch.times),
      charge: lists(batch.charges),
      auxiliary: lists(batch.auxiliary),
      azimuth: [...(batch.truth?.azimuth ?? [])],
      zenith: [...(batch.truth?.zenith ?? [])],
      reference_azimuth: toNullable(batch.reference?.azimuth),
      reference_zenith: toNullable(batch.reference?.zenith),
    })
    expect(read.metadata).toEqual({ 'nustream.schema': 'events/1' })
  })

  it('our predictions, with null for what is not known', async () => {
    const bytes = encodePredictionBatch(predictions)
    const { columns, metadata } = JSON.parse(String(await run(TO_JSON, bytes)))
    expect(columns).toMatchObject({
      event_id: [24, 41],
      azimuth: [1, 2],
      zenith: [0.5, 1.5],
      kappa: [12.5, null],
      degenerate: [0, 1],
      pulses: [61, 51],
      true_azimuth: [1, null],
      true_zenith: [0.75, null],
    })
    expect(columns.angular_error[0]).toBeCloseTo(0.25, 12)
    expect(columns.angular_error[1]).toBeNull()
    expect(metadata).toEqual({
      'nustream.schema': 'predictions/1',
      'nustream.batch_id': 'b',
      'nustream.model': 'm',
      'nustream.model_version': '1',
      'nustream.consumer': 'c',
      'nustream.emitted_at_ms': '1',
      'nustream.predicted_at_ms': '2',
    })
    expect(decodePredictionBatch(bytes)).toEqual(predictions)
  })
})

it('docs/wire-format.md has Python examples that run', async ({ onTestFinished }) => {
  const page = readFileSync(new URL('../../docs/wire-format.md', import.meta.url), 'utf8')
  const [write = '', read = ''] = Array.from(page.matchAll(/```python\n(.*?)```/gs), ([, block]) => block)
  const cwd = mkdtempSync(join(tmpdir(), 'nustream-wire-'))
  onTestFinished(() => rmSync(cwd, { recursive: true }))

  await runPython(python, ['-c', write], { cwd })
  const batch = decodeEventBatch(readFileSync(join(cwd, 'events.arrows')))
  expect([...batch.eventIds]).toEqual([24n, 41n])
  expect([...batch.offsets]).toEqual([0, 3, 5])

  writeFileSync(join(cwd, 'predictions.arrows'), encodePredictionBatch(predictions))
  const printed = String(await runPython(python, ['-c', read], { cwd }))
  expect(printed).toMatch(/^m\n24 1\.0 0\.5 0\.2\d*\n41 2\.0 1\.5 None\n$/)
})
