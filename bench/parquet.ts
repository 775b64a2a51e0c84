/** How fast are Parquet files read into events, with how much memory, and how soon does the first event arrive? */
import { existsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { kaggleLikeSql, writeQuery } from '../test/support/pulse-files.ts'
import { type Reading, readInProcess } from '../test/support/read-in-process.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const rounds = Number(values.rounds)

const LARGE_EVENTS = `SELECT (i // 178250)::BIGINT AS event_id, (i % 5160)::SMALLINT AS sensor_id, (i % 70000)::BIGINT AS time,
  0.025 + 0.05 * (random() * random() * 60)::INTEGER AS charge, true AS auxiliary FROM range(40 * 178250) t(i)`

/** Created once in the temporary folder: a file like Kaggle's (200,000 events), and one with the largest events. */
const files = {
  'one row group': await make('one-group', kaggleLikeSql(200_000), 'ROW_GROUP_SIZE 60000000'),
  'row groups of 2^20': await make('groups', kaggleLikeSql(200_000), 'ROW_GROUP_SIZE 1048576'),
  'events of 178,250 pulses': await make('large-events', LARGE_EVENTS, 'ROW_GROUP_SIZE 60000000'),
}
const late = JSON.stringify({
  in: files['one row group'],
  bytes: statSync(files['one row group']).size,
  row: 30_000_000,
  highestId: '0',
})
const cases: [name: string, path: string, resume?: string][] = [
  ...Object.entries(files),
  ['one row group, resumed at row 30,000,000', files['one row group'], late],
]

const readings = new Map<string, Reading[]>(cases.map(([name]) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const [name, path, resume] of cases) {
    const reading = await readInProcess(`parquet:${path}`, resume)
    readings.get(name)?.push(reading)
    console.log(name, JSON.stringify(reading))
  }
}
const rows = [...readings].map(([file, all]) => {
  const middle = (pick: (reading: Reading) => number) => median(all.map(pick))
  return {
    file,
    rows: all[0].pulses,
    events: all[0].events,
    millionRowsPerSecond: round(
      middle(({ pulses, seconds }) => pulses / seconds / 1e6),
      1,
    ),
    best: round(Math.max(...all.map(({ pulses, seconds }) => pulses / seconds / 1e6)), 1),
    cpuSeconds: round(
      middle(({ cpuSeconds }) => cpuSeconds),
      2,
    ),
    firstEventsMs: round(
      middle(({ firstMs }) => firstMs),
      0,
    ),
    peakMb: round(Math.max(...all.map(({ peakMb }) => peakMb)), 0),
  }
})
writeResult('parquet', {
  question:
    'Parquet files to batches of 256 events, a fresh process each time; medians, peak memory the highest of all',
  command: `npm run bench -- parquet --rounds ${rounds}`,
  parameters: { rounds },
  rows,
})

async function make(name: string, sql: string, options: string): Promise<string> {
  const path = join(tmpdir(), `nustream-bench-${name}.parquet`)
  if (!existsSync(path)) {
    console.log(`writing ${path}`)
    await writeQuery(path, sql, options)
  }
  return path
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
