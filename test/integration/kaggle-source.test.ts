import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventCount } from '../../src/event/event-batch.ts'
import { sensorPositions } from '../../src/event/sensors.ts'
import { openSource } from '../../src/source/open.ts'
import { temporaryFolder } from '../support/broker-backends.ts'
import { eventRows, readAll, rowsSql, writeQuery } from '../support/pulse-files.ts'
import type { Owner } from '../support/redis.ts'
import { NO_SAMPLE, sampleFolder } from '../support/sample.ts'

/** train/batch_1 with events 1, 2, 3, train/batch_2 with 4, 5, train/batch_10 with 6. */
async function kaggleFolder(t: Owner): Promise<string> {
  const folder = temporaryFolder(t)
  mkdirSync(join(folder, 'train'))
  for (const [batch, ids] of [
    [1, [1, 2, 3]],
    [2, [4, 5]],
    [10, [6]],
  ] as const) {
    const path = join(folder, 'train', `batch_${batch}.parquet`)
    await writeQuery(path, rowsSql(ids.flatMap((id) => eventRows(id))))
  }
  return folder
}

/** Event n has azimuth n / 10 and zenith n / 20, unless its list says null; event 99 has no pulses. */
function metaSql(options: { batchId?: string; type?: string } = {}): string {
  const { batchId, type = 'BIGINT' } = options
  const rows = [
    [1, 1],
    [1, 2],
    [1, 99],
    [2, 4],
    [2, 5],
    [10, 6],
  ]
  const values = rows.map(([batch, id]) => `(${batch}, ${id}, ${id === 5 ? 'NULL' : id / 10}, ${id / 20})`)
  const batchColumn = batchId ? `batch::${batchId} AS batch_id, ` : ''
  return `SELECT ${batchColumn}id::${type} AS event_id, azimuth::DOUBLE AS azimuth, zenith::DOUBLE AS zenith
    FROM (VALUES ${values.join(', ')}) t(batch, id, azimuth, zenith)`
}

async function truthOf(folder: string, onNotice: (message: string) => void = () => {}) {
  const { chunks } = await readAll(await openSource(`kaggle:${folder}`, { onNotice }))
  return chunks.flatMap(({ events }) =>
    Array.from({ length: eventCount(events) }, (_, i) => [
      Number(events.eventIds[i]),
      events.truth?.azimuth[i],
      events.truth?.zenith[i],
    ]),
  )
}

const TRUTH = [
  [1, 0.1, 0.05],
  [2, 0.2, 0.1],
  [3, Number.NaN, Number.NaN],
  [4, 0.4, 0.2],
  [5, Number.NaN, 0.25],
  [6, 0.6, 0.3],
]

describe('kaggle: truth', () => {
  it.for([
    { name: 'by batch id', sql: metaSql({ batchId: 'BIGINT' }) },
    { name: 'by event id where there is no batch id', sql: metaSql() },
    {
      name: 'by event id where the batch ids are others',
      sql: metaSql({ batchId: 'BIGINT' }).replace('batch::', '(batch + 500)::'),
    },
    { name: 'from real numbers, as pandas makes them', sql: metaSql({ batchId: 'DOUBLE', type: 'DOUBLE' }) },
  ])('is joined $name', async ({ sql }, t) => {
    const folder = await kaggleFolder(t)
    await writeQuery(join(folder, 'train_meta.parquet'), sql)
    expect(await truthOf(folder)).toEqual(TRUTH)
  })

  it('is found by event id in regrouped files, and events without truth are reported', async (t) => {
    const folder = await kaggleFolder(t)
    await writeQuery(join(folder, 'train_meta.parquet'), metaSql({ batchId: 'BIGINT' }))
    const [one, two] = [1, 2].map((batch) => join(folder, 'train', `batch_${batch}.parquet`))
    await writeQuery(one, rowsSql([1, 5, 4].flatMap((id) => eventRows(id))))
    await writeQuery(two, rowsSql([2, 3, 77].flatMap((id) => eventRows(id))))
    const notices: string[] = []
    const found = await truthOf(folder, (message) => notices.push(message))
    expect(found).toEqual([
      [1, 0.1, 0.05],
      [5, Number.NaN, 0.25],
      [4, 0.4, 0.2],
      [2, 0.2, 0.1],
      [3, Number.NaN, Number.NaN],
      [77, Number.NaN, Number.NaN],
      [6, 0.6, 0.3],
    ])
    expect(notices).toEqual([
      `${two}: 2 of 3 events are not in ${folder}/train_meta.parquet, they have no truth`,
    ])
  })

  it.for([
    {
      name: 'a file for each batch',
      batches: [
        [1, [1]],
        [2, [2]],
        [10, [10]],
      ] as const,
      column: false,
    },
    {
      name: 'files of other batches',
      batches: [
        [1, [2, 10]],
        [7, [1]],
      ] as const,
      column: true,
    },
  ])('is read from a folder with $name', async ({ batches, column }, t) => {
    const folder = await kaggleFolder(t)
    mkdirSync(join(folder, 'train_meta'))
    for (const [name, ids] of batches) {
      const rows = metaSql({ batchId: 'BIGINT' })
      const kept = column ? '*' : '* EXCLUDE (batch_id)'
      await writeQuery(
        join(folder, 'train_meta', `batch_${name}.parquet`),
        `SELECT ${kept} FROM (${rows}) WHERE batch_id IN (${ids.join(', ')})`,
      )
    }
    expect(await truthOf(folder)).toEqual(TRUTH)
    const listed = await (await openSource(`kaggle:${folder}`)).listed?.()
    if (!column) expect([...(listed?.eventIds ?? [])]).toEqual([1n, 2n, 99n, 4n, 5n, 6n])
  })

  it('that is nowhere is said in a sentence', async (t) => {
    const folder = await kaggleFolder(t)
    const notices: string[] = []
    await truthOf(folder, (message) => notices.push(message))
    expect(notices).toEqual([
      `${folder} has neither train_meta.parquet nor train_meta/batch_N.parquet: events have no truth`,
    ])
  })

  it('may be absent', async (t) => {
    const folder = await kaggleFolder(t)
    expect((await truthOf(folder))[5]).toEqual([6, undefined, undefined])
  })

  it('that lacks a column is an error that names its columns', async (t) => {
    const folder = await kaggleFolder(t)
    await writeQuery(join(folder, 'train_meta.parquet'), 'SELECT 1 AS event_id, 2.0::DOUBLE AS azimuth')
    await expect(truthOf(folder)).rejects.toThrow(
      'column zenith is missing; it has event_id INTEGER, azimuth DOUBLE',
    )
  })
})

describe('kaggle: folder', () => {
  it('is read in the order of batch numbers, and counted', async (t) => {
    const folder = await kaggleFolder(t)
    await writeQuery(join(folder, 'train_meta.parquet'), metaSql({ batchId: 'BIGINT' }))
    const source = await openSource(`kaggle:${folder}`)
    expect(source.spec).toBe(`kaggle:${folder}`)
    expect(await source.count()).toBe(6)
    const { ids, chunks } = await readAll(source)
    expect(ids).toEqual([1n, 2n, 3n, 4n, 5n, 6n])
    const rest = await readAll(source, { resume: chunks[0].resume })
    expect(rest.ids).toEqual([4n, 5n, 6n])
  })

  it('may have test files only, or be the folder of the files itself', async (t) => {
    const folder = temporaryFolder(t)
    mkdirSync(join(folder, 'test'))
    await writeQuery(join(folder, 'test', 'batch_661.parquet'), rowsSql(eventRows(2092)))
    for (const spec of [`kaggle:${folder}`, `kaggle:${folder}/test`]) {
      expect((await readAll(await openSource(spec))).ids).toEqual([2092n])
    }
    const train = await kaggleFolder(t)
    await writeQuery(join(train, 'train_meta.parquet'), metaSql())
    expect(await truthOf(join(train, 'train'))).toEqual(TRUTH)
  })

  it('without batch files is an error that names its contents', async (t) => {
    const folder = temporaryFolder(t)
    writeFileSync(join(folder, 'readme.txt'), '')
    await expect(openSource(`kaggle:${folder}`)).rejects.toMatchObject({ code: 'source_missing' })
    await expect(openSource(`kaggle:${folder}`)).rejects.toThrow('it holds readme.txt')
    await expect(openSource(`kaggle:${folder}/nope`)).rejects.toThrow(`${folder} holds readme.txt`)
    await expect(openSource(`kaggle:${folder}/readme.txt`)).rejects.toThrow(
      `try parquet:${folder}/readme.txt`,
    )
  })

  it('has its geometry checked to a centimetre', async (t) => {
    const folder = await kaggleFolder(t)
    const write = (move: (row: string[], id: number) => string[] | undefined) => {
      const rows = Array.from({ length: 5160 }, (_, id) => {
        const position = Array.from(sensorPositions.subarray(3 * id, 3 * id + 3), (value) => value.toFixed(2))
        return move([String(id), ...position], id)?.join(',')
      })
      const lines = ['sensor_id,x,y,z', ...rows.filter((row) => row !== undefined)]
      writeFileSync(join(folder, 'sensor_geometry.csv'), `${lines.join('\n')}\n`)
    }
    const open = () => openSource(`kaggle:${folder}`)
    write((row) => row)
    await open()
    write((row, id) => (id === 17 ? [row[0], (Number(row[1]) + 0.01).toFixed(2), row[2], row[3]] : row))
    await open()
    write((row, id) => (id === 17 ? [row[0], (Number(row[1]) + 0.03).toFixed(2), row[2], row[3]] : row))
    await expect(open()).rejects.toThrow(/sensor_geometry.csv puts sensor 17 at .* nustream knows it at/)
    write((row, id) => (id === 40 ? undefined : row))
    await expect(open()).rejects.toThrow('lacks sensor 40')
    write((row, id) => (id === 0 ? ['5160', ...row.slice(1)] : row))
    await expect(open()).rejects.toThrow("has a sensor 5160; IceCube's are 0 to 5159")
    writeFileSync(join(folder, 'sensor_geometry.csv'), 'id,x,y\n1,2,3\n')
    await expect(open()).rejects.toThrow('has columns id, x, y')
  })

  it('with ten real events gives them all, six with truth', async (t) => {
    const folder = sampleFolder() ?? t.skip(NO_SAMPLE)
    const rows = await truthOf(folder)
    expect(rows.map(([id]) => id)).toEqual([24, 41, 59, 67, 72, 77, 79, 82, 121, 127])
    expect(
      rows.filter(([, azimuth]) => azimuth !== undefined && Number.isFinite(azimuth)).map(([id]) => id),
    ).toEqual([24, 41, 59, 67, 72, 79])
    expect(rows[0][1]).toBeCloseTo(5.029555, 6)
    expect(rows[0][2]).toBeCloseTo(2.087498, 6)
    const source = await openSource(`kaggle:${folder}`)
    expect(await source.count()).toBe(10)
    const { chunks } = await readAll(source)
    const pulses = chunks.flatMap(({ events }) =>
      [...events.offsets.slice(1)].map((to, i) => to - events.offsets[i]),
    )
    expect(pulses).toEqual([61, 51, 36, 142, 62, 50, 316, 45, 41, 43])
  })
})

it.for(['', 'sim:x', 'kaggle', 'kaggle:', 'parquet:', 'parquet:,', 'watch:', 'redis:x', 'Sim', '/tmp'])(
  'openSource() refuses "%s" with what it takes',
  async (spec) => {
    await expect(openSource(spec)).rejects.toMatchObject({ name: 'UsageError', disposition: 'stop' })
    await expect(openSource(spec)).rejects.toThrow(/sim|parquet:/)
  },
)
