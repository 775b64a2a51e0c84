import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { TRUTH_DETAILS } from '../../src/event/event-batch.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { openDuckDb, queryRows } from '../../src/formats/parquet/duckdb.ts'
import { simulateEvents } from '../../src/simulator/simulate.ts'
import { writeKaggle } from '../../src/source/kaggle-write.ts'
import { openSource } from '../../src/source/open.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nustream-kaggle-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** Everything about each event, so that batches cut elsewhere compare equal. */
function describeEvents(batch: EventBatch): unknown[] {
  return Array.from(batch.eventIds, (id, i) => {
    const [from, to] = [batch.offsets[i], batch.offsets[i + 1]]
    const columns = [batch.sensorIds, batch.times, batch.charges, batch.auxiliary]
    const pulses = columns.map((column) => [...column.subarray(from, to)])
    return [id, batch.truth?.azimuth[i], batch.truth?.zenith[i], batch.truth?.topology?.[i], ...pulses]
  })
}

async function query(sql: string): Promise<unknown[][]> {
  const db = await openDuckDb()
  const connection = await db.connect()
  try {
    return await queryRows(connection, sql)
  } finally {
    connection.closeSync()
    db.closeSync()
  }
}

describe('writeKaggle()', () => {
  it('writes a data set that our own source reads back as the events that were simulated', async () => {
    const report = await writeKaggle({ dir, events: 70, seed: 12, eventsPerFile: 30, workers: 2 })
    expect(report).toMatchObject({ events: 70, files: 3 })
    const source = await openSource(`kaggle:${dir}`)
    expect(await source.count()).toBe(70)
    const read: unknown[] = []
    for await (const chunk of source.read({ eventsMax: 16, signal: new AbortController().signal })) {
      expect(chunk.rejected).toEqual([])
      read.push(...describeEvents(chunk.events))
    }
    expect(read).toEqual(describeEvents(simulateEvents(12, 0, 70)))
  })

  it('has the columns, types and row numbers of the competition, and the topology', async () => {
    await writeKaggle({ dir, events: 25, seed: 3, eventsPerFile: 10 })
    const types = async (file: string) =>
      (
        await query(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM '${join(dir, file)}')`)
      ).flat()
    expect(await types('train/batch_1.parquet')).toEqual([
      'event_id',
      'BIGINT',
      'sensor_id',
      'SMALLINT',
      'time',
      'BIGINT',
      'charge',
      'DOUBLE',
      'auxiliary',
      'BOOLEAN',
    ])
    expect(await types('train_meta.parquet')).toEqual([
      ...[
        'batch_id',
        'BIGINT',
        'event_id',
        'BIGINT',
        'first_pulse_index',
        'BIGINT',
        'last_pulse_index',
        'BIGINT',
      ],
      ...['azimuth', 'DOUBLE', 'zenith', 'DOUBLE', 'topology', 'VARCHAR'],
      ...TRUTH_DETAILS.flatMap((name) => [name, 'DOUBLE']),
    ])
    const [details] = await query(
      `SELECT ${TRUTH_DETAILS.join(', ')} FROM '${join(dir, 'train_meta.parquet')}' WHERE event_id = 7`,
    )
    const simulated = simulateEvents(3, 7, 1).truth?.details ?? []
    expect(details.map((value) => value ?? Number.NaN)).toEqual([...simulated])
    // The first and last row of each event are where the meta file says.
    const wrong = await query(`
      SELECT event_id FROM '${join(dir, 'train_meta.parquet')}' JOIN (
        SELECT event_id, min(file_row_number) AS first, max(file_row_number) AS last,
          CAST(regexp_extract(filename, '(\\d+).parquet', 1) AS BIGINT) AS file
        FROM read_parquet('${join(dir, 'train')}/*.parquet', file_row_number = true, filename = true) GROUP BY ALL
      ) USING (event_id) WHERE first <> first_pulse_index OR last <> last_pulse_index OR file <> batch_id`)
    expect(wrong).toEqual([])
    const charges = await query(
      `SELECT count(*) FROM '${join(dir, 'train')}/*.parquet' WHERE round(charge, 3) <> charge`,
    )
    expect(charges).toEqual([[0n]])
  })

  it('writes the geometry to the centimetre', async () => {
    await writeKaggle({ dir, events: 1, seed: 1 })
    const lines = readFileSync(join(dir, 'sensor_geometry.csv'), 'utf8').trim().split('\n')
    expect(lines).toHaveLength(5161)
    expect(lines[0]).toBe('sensor_id,x,y,z')
    const [id, ...position] = lines[5160].split(',').map(Number)
    expect(id).toBe(5159)
    for (const [axis, value] of position.entries()) {
      expect(Math.abs(value - sensorPositions[5159 * 3 + axis])).toBeLessThan(0.006)
    }
  })

  it('tells how far it is', async () => {
    const progress: number[] = []
    await writeKaggle({
      dir,
      events: 600,
      seed: 1,
      eventsPerFile: 400,
      onProgress: (events) => progress.push(events),
    })
    expect(progress).toEqual([250, 400, 600])
  })

  it('leaves a data set alone unless it may overwrite it, and then leaves nothing of it', async () => {
    await writeKaggle({ dir, events: 30, seed: 1, eventsPerFile: 10 })
    await expect(writeKaggle({ dir, events: 5, seed: 2 })).rejects.toThrow('holds a data set already')
    expect(readdirSync(join(dir, 'train'))).toHaveLength(3)
    await writeKaggle({ dir, events: 5, seed: 2, overwrite: true })
    expect(readdirSync(join(dir, 'train'))).toEqual(['batch_1.parquet'])
    expect(await query(`SELECT count(*) FROM '${join(dir, 'train_meta.parquet')}'`)).toEqual([[5n]])
  })

  it('says in a sentence that the folder cannot be written to, and leaves nothing', async () => {
    const refused = {
      code: 'flag_invalid',
      message: expect.stringContaining('cannot write a data set below'),
    }
    writeFileSync(join(dir, 'file'), '')
    const intoFile = writeKaggle({ dir: join(dir, 'file'), events: 5, seed: 1 })
    await expect(intoFile).rejects.toMatchObject(refused)
    // The folder goes away below the writer, as a disk does.
    const out = join(dir, 'out')
    const onProgress = () => rmSync(out, { recursive: true, force: true })
    const intoNothing = writeKaggle({ dir: out, events: 5, seed: 1, onProgress })
    await expect(intoNothing).rejects.toMatchObject(refused)
  })

  it('removes what it wrote when it is aborted', async () => {
    const stop = new AbortController()
    const writing = writeKaggle({
      dir,
      events: 5000,
      seed: 1,
      eventsPerFile: 300,
      signal: stop.signal,
      onProgress: (events) => events > 600 && stop.abort(new Error('enough')),
    })
    await expect(writing).rejects.toThrow('enough')
    expect(readdirSync(join(dir, 'train'))).toEqual([])
    expect(existsSync(join(dir, 'train_meta.parquet'))).toBe(false)
  })
})
