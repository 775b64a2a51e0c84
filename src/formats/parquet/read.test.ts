import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openDuckDb } from './duckdb.ts'
import { readPulses } from './read.ts'
import { writeParquet } from './write.ts'

const ROWS = 5_000

it("readPulses() gives every value of DuckDB's private vectors, over several chunks", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'pulses.parquet')
  const number = <T>(make: (i: number) => T) => Array.from({ length: ROWS }, (_, i) => make(i))
  const values = {
    event_id: BigInt64Array.from(number((i) => 2n ** 40n + BigInt(i >> 3))),
    sensor_id: Uint16Array.from(number((i) => i % 5160)),
    time: Float32Array.from(number((i) => 6000 + i)),
    charge: Float64Array.from(number((i) => (i === 4_000 ? Number.NaN : i / 8))),
    auxiliary: Uint8Array.from(number((i) => i & 1)),
  }
  await writeParquet(path, [
    { name: 'event_id', type: 'int64', from: 'int64', values: values.event_id },
    { name: 'sensor_id', type: 'int16', from: 'uint16', values: values.sensor_id },
    { name: 'time', type: 'int64', from: 'float32', values: values.time },
    { name: 'charge', type: 'double', from: 'float64', nanIsNull: true, values: values.charge },
    { name: 'auxiliary', type: 'boolean', from: 'uint8', values: values.auxiliary },
  ])
  const db = await openDuckDb()
  onTestFinished(() => db.closeSync())
  let row = 0
  const faults: string[] = []
  for await (const rows of readPulses(db, path)) {
    const to = row + rows.eventIds.length
    expect(rows.firstRow).toBe(row)
    expect(rows.eventIds).toEqual(values.event_id.slice(row, to))
    expect(rows.eventIdWords).toEqual(new Int32Array(values.event_id.slice(row, to).buffer))
    expect(rows.sensorIds).toEqual(values.sensor_id.slice(row, to))
    expect(rows.times).toEqual(values.time.slice(row, to))
    const charges = Float32Array.from(values.charge.slice(row, to), (value) =>
      Number.isNaN(value) ? 0 : value,
    )
    expect(rows.charges).toEqual(charges)
    expect(rows.auxiliary).toEqual(values.auxiliary.slice(row, to))
    faults.push(...rows.faults.map(({ index, column, value }) => `${row + index} ${column} ${value}`))
    row = to
  }
  expect(row).toBe(ROWS)
  expect(faults).toEqual(['4000 charge null'])
})
