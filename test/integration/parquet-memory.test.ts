import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/broker-backends.ts'
import { kaggleLikeSql, writeQuery } from '../support/pulse-files.ts'
import { readInProcess } from '../support/read-in-process.ts'

const MAKE = fileURLToPath(new URL('../support/make-pulse-file.ts', import.meta.url))

// A limit is a promise, not a measured time: the figures themselves are in bench/results/parquet.json.
const PEAK_MAX_MB = 400

describe('reading Parquet takes bounded memory', () => {
  it('for 33 million rows in one row group, whose pages are as large as can be', {
    timeout: 300_000,
  }, async (t) => {
    const path = join(temporaryFolder(t), 'batch_1.parquet')
    // DuckDB writes a column of a row group as one page of up to 100 MB; pyarrow's pages have 1 MB.
    await promisify(execFile)(process.execPath, [
      MAKE,
      path,
      kaggleLikeSql(200_000),
      'ROW_GROUP_SIZE 60000000',
    ])
    const reading = await readInProcess(`parquet:${path}`)
    expect(reading).toMatchObject({ events: 200_000, rejected: 0 })
    expect(reading.pulses).toBeGreaterThan(30_000_000)
    expect(reading.peakMb).toBeLessThan(PEAK_MAX_MB)
  })

  it('for events of 178,250 pulses', async (t) => {
    const path = join(temporaryFolder(t), 'batch_615.parquet')
    const sql = `SELECT (i // 178250)::BIGINT AS event_id, (i % 5160)::SMALLINT AS sensor_id, (i % 70000)::BIGINT AS time,
      random() AS charge, true AS auxiliary FROM range(20 * 178250) t(i)`
    await writeQuery(path, sql)
    const reading = await readInProcess(`parquet:${path}`)
    expect(reading).toMatchObject({ events: 20, largest: 178_250, pulses: 20 * 178_250 })
    expect(reading.peakMb).toBeLessThan(PEAK_MAX_MB)
  })

  it('for a million events of one pulse out of order, and for one event that never ends', async (t) => {
    const folder = temporaryFolder(t)
    const select =
      '1::SMALLINT AS sensor_id, 1::BIGINT AS time, 1.0::DOUBLE AS charge, true AS auxiliary FROM range(1500000) t(i)'
    await writeQuery(join(folder, 'many.parquet'), `SELECT (1500000 - i)::BIGINT AS event_id, ${select}`)
    await writeQuery(join(folder, 'one.parquet'), `SELECT 7::BIGINT AS event_id, ${select}`)
    const many = await readInProcess(`parquet:${folder}/many.parquet`)
    expect(many).toMatchObject({ events: 1_500_000, rejected: 0 })
    expect(many.peakMb).toBeLessThan(PEAK_MAX_MB)
    const one = await readInProcess(`parquet:${folder}/one.parquet`)
    expect(one).toMatchObject({ events: 0, rejected: 1 })
    expect(one.peakMb).toBeLessThan(PEAK_MAX_MB)
  })
})
