import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkEvents } from '../../src/event/check.ts'
import { openSource } from '../../src/source/open.ts'
import { temporaryFolder } from '../support/broker-backends.ts'
import { eventRows, kaggleLikeSql, type Row, readAll, rowsSql, writeQuery } from '../support/pulse-files.ts'

/** The source of one file that holds these rows. */
async function sourceOf(folder: string, sql: string, name = 'batch_1.parquet') {
  const path = join(folder, name)
  await writeQuery(path, sql)
  return openSource(`parquet:${path}`)
}

it('openSource() reports a path that does not exist, with a remedy', async () => {
  await expect(openSource('/no/such/icecube')).rejects.toMatchObject({
    code: 'source_missing',
    message: expect.stringMatching(
      /^\/no\/such\/icecube: no such folder. .* nustream simulate --events 10000/,
    ),
  })
  await expect(openSource('nonsense')).rejects.toMatchObject({ code: 'source_unknown' })
})

describe('parquet: values', () => {
  it('arrive in the order of the file, in the event form', async (t) => {
    const rows: Row[] = [
      [7, 5159, 77785, 0.025, 'true'],
      [7, 0, 5714, 2762.02, 'false'],
      [-3, 12, -5, 1.5, 'true'],
      [9_007_199_254_740_993n.toString(), 3, 0, 1, 'false'],
    ]
    const { chunks } = await readAll(await sourceOf(temporaryFolder(t), rowsSql(rows)))
    const [{ events }] = chunks
    expect([...events.eventIds]).toEqual([7n, -3n, 9_007_199_254_740_993n])
    expect([...events.offsets]).toEqual([0, 2, 3, 4])
    expect([...events.sensorIds]).toEqual([5159, 0, 12, 3])
    expect([...events.times]).toEqual([77785, 5714, -5, 0])
    expect([...events.charges]).toEqual([0.025, 2762.02, 1.5, 1].map(Math.fround))
    expect([...events.auxiliary]).toEqual([1, 0, 1, 0])
    expect(events.truth).toBeUndefined()
  })

  it.for([
    { name: 'int32 ids and times', types: { event_id: 'INTEGER', sensor_id: 'INTEGER', time: 'INTEGER' } },
    {
      name: 'real numbers',
      types: { event_id: 'DOUBLE', sensor_id: 'DOUBLE', time: 'DOUBLE', charge: 'FLOAT' },
    },
    { name: 'unsigned numbers', types: { event_id: 'UBIGINT', sensor_id: 'USMALLINT', time: 'UINTEGER' } },
    { name: 'auxiliary as a number', types: { auxiliary: 'INTEGER' } },
    { name: 'auxiliary as a real number', types: { auxiliary: 'DOUBLE' } },
  ])('are the same from $name', async ({ types }, t) => {
    const folder = temporaryFolder(t)
    const rows = [...eventRows(1), ...eventRows(2, 4)]
    const [kaggle] = (await readAll(await sourceOf(folder, rowsSql(rows)))).chunks
    const [other] = (await readAll(await sourceOf(folder, rowsSql(rows, types), 'other.parquet'))).chunks
    expect(other.events).toEqual(kaggle.events)
  })

  it('find the event id in the pandas index, whatever it is called', async (t) => {
    const folder = temporaryFolder(t)
    const sql = rowsSql(eventRows(5))
    const unnamed = await sourceOf(
      folder,
      `SELECT * RENAME (event_id AS "__index_level_0__") FROM (${sql})`,
      'a.parquet',
    )
    expect((await readAll(unnamed)).ids).toEqual([5n])
    const named = join(folder, 'b.parquet')
    const pandas = JSON.stringify({ columns: [{ name: 'event_id', field_name: 'odd "name"' }] })
    await writeQuery(
      named,
      `SELECT * RENAME (event_id AS "odd ""name""") FROM (${sql})`,
      `KV_METADATA {pandas: '${pandas}'}`,
    )
    expect((await readAll(await openSource(`parquet:${named}`))).ids).toEqual([5n])
  })

  it('find the event id in the column event_no, whatever index pandas left behind', async (t) => {
    const sql = `SELECT * RENAME (event_id AS event_no), 2 * row_number() OVER () AS "__index_level_0__"
      FROM (${rowsSql([...eventRows(5), ...eventRows(6)])})`
    expect((await readAll(await sourceOf(temporaryFolder(t), sql))).ids).toEqual([5n, 6n])
  })

  it('take no row numbers of pandas for event ids, and name the columns', async (t) => {
    const sql = `SELECT * EXCLUDE (event_id), 2 * row_number() OVER () AS "__index_level_0__"
      FROM (${rowsSql([...eventRows(5), ...eventRows(6)])})`
    const source = await sourceOf(temporaryFolder(t), sql)
    const says = /column event_id is missing; it has sensor_id SMALLINT, .*__index_level_0__ numbers the rows/
    await expect(readAll(source)).rejects.toThrow(says)
  })

  it('that are wrong but can be held pass through, and are then rejected by name', async (t) => {
    const rows: Row[] = [
      [1, 9000, 1, 1, 'true'],
      [2, 1, 1, "'NaN'::DOUBLE", 'true'],
      [3, 1, "'inf'::DOUBLE", 1, 'true'],
      [4, 1, 1, -1, 'true'],
      [5, 1, 1, 1, 2],
      [6, 1, 1, 1, 1],
    ]
    const sql = rowsSql(rows, { time: 'DOUBLE', auxiliary: 'INTEGER' })
      .replaceAll("'true'", '1')
      .replaceAll('true', '1')
    const { chunks, rejected } = await readAll(await sourceOf(temporaryFolder(t), sql))
    expect(rejected).toEqual([])
    expect(checkEvents(chunks[0].events).map(({ eventId, code }) => `${eventId} ${code}`)).toEqual([
      '1 sensor_id_unknown',
      '2 charge_not_finite',
      '3 time_not_finite',
      '4 charge_not_positive',
      '5 auxiliary_not_boolean',
    ])
  })
})

describe('parquet: events', () => {
  it.for<{ name: string; bad: Row; types?: object; says: string }>([
    { name: 'a null sensor id', bad: [2, 'NULL', 1, 1, 'true'], says: 'sensor_id is null' },
    { name: 'a negative sensor id', bad: [2, -1, 1, 1, 'true'], says: 'sensor_id is -1' },
    {
      name: 'a sensor id of 2^16',
      bad: [2, 65536, 1, 1, 'true'],
      types: { sensor_id: 'INTEGER' },
      says: 'sensor_id is 65536',
    },
    {
      name: 'half a sensor',
      bad: [2, 3.5, 1, 1, 'true'],
      types: { sensor_id: 'DOUBLE' },
      says: 'sensor_id is 3.5',
    },
    { name: 'a null time', bad: [2, 1, 'NULL', 1, 'true'], says: 'time is null' },
    { name: 'a time that float32 would blur', bad: [2, 1, 20_000_000, 1, 'true'], says: 'time is 20000000' },
    { name: 'a null charge', bad: [2, 1, 1, 'NULL', 'true'], says: 'charge is null' },
    { name: 'a charge beyond float32', bad: [2, 1, 1, '1e300', 'true'], says: 'charge is 1e+300' },
    { name: 'a null flag', bad: [2, 1, 1, 1, 'NULL'], says: 'auxiliary is null' },
  ])('with $name become rejected events, their neighbours do not', async ({ bad, types, says }, t) => {
    const folder = temporaryFolder(t)
    const rows = [...eventRows(1), ...eventRows(2, 2), bad, ...eventRows(2, 2), ...eventRows(3)]
    const { ids, rejected, chunks } = await readAll(await sourceOf(folder, rowsSql(rows, types)))
    expect(ids).toEqual([1n, 3n])
    expect([...chunks[0].events.offsets]).toEqual([0, 3, 6])
    expect([...chunks[0].events.sensorIds]).toEqual([10, 11, 12, 10, 11, 12])
    expect(rejected).toHaveLength(1)
    expect(rejected[0]).toMatchObject({ eventId: 2n, code: 'source_value_invalid' })
    expect(rejected[0].message).toContain(`batch_1.parquet row 5: ${says}`)
  })

  it('keep their rejected pulses to themselves when the id itself is missing', async (t) => {
    const orphan: Row = ['NULL', 1, 1, 1, 'true']
    const rows = [
      ...eventRows(1),
      orphan,
      orphan,
      ...eventRows(2, 2),
      orphan,
      ...eventRows(2, 1),
      ...eventRows(3),
      orphan,
    ]
    const { ids, rejected } = await readAll(await sourceOf(temporaryFolder(t), rowsSql(rows)))
    expect(ids).toEqual([1n, 3n])
    expect(
      rejected.map(({ eventId, message }) => [eventId, /row \d+: event_id is null/.exec(message)?.[0]]),
    ).toEqual([
      [undefined, 'row 3: event_id is null'],
      [2n, 'row 7: event_id is null'],
      [undefined, 'row 12: event_id is null'],
    ])
  })

  it('with a repeated id are rejected the second time, also after resuming', async (t) => {
    const rows = [9, 4, 7, 4, 8, 9, 10].flatMap((id) => eventRows(id))
    const source = await sourceOf(temporaryFolder(t), rowsSql(rows))
    const { ids, rejected, chunks } = await readAll(source, { eventsMax: 1 })
    expect(ids).toEqual([9n, 4n, 7n, 8n, 10n])
    expect(rejected.map(({ eventId, code }) => [eventId, code])).toEqual([
      [4n, 'event_id_repeated'],
      [9n, 'event_id_repeated'],
    ])
    expect(rejected[0].message).toContain('row 9: event 4 comes again')
    const later = await readAll(source, { resume: chunks[2].resume })
    expect(later.ids).toEqual([8n, 10n])
    expect(later.rejected.map(({ eventId }) => eventId)).toEqual([4n, 9n])
  })

  it('may have id 0 after rows without an id', async (t) => {
    const rows: Row[] = [['NULL', 1, 1, 1, 'true'], ...eventRows(5), ...eventRows(0)]
    const { ids, rejected } = await readAll(await sourceOf(temporaryFolder(t), rowsSql(rows)))
    expect(ids).toEqual([5n, 0n])
    expect(rejected.map(({ eventId }) => eventId)).toEqual([undefined])
  })

  it('of a million pulses and more are rejected with bounded memory', async (t) => {
    const long =
      'SELECT 2::BIGINT AS event_id, 1::SMALLINT AS sensor_id, i AS time, 1.0::DOUBLE AS charge, true AS auxiliary FROM range(1048577) t(i)'
    const sql = `${rowsSql(eventRows(1))} UNION ALL ${long} UNION ALL ${rowsSql(eventRows(3))}`
    const { ids, rejected } = await readAll(await sourceOf(temporaryFolder(t), sql))
    expect(ids).toEqual([1n, 3n])
    expect(rejected[0].message).toContain('event 2 has more than 1048576 pulses')
  })

  it('of 178,250 pulses come whole', async (t) => {
    const sql =
      'SELECT 1999013610::BIGINT AS event_id, (i % 5160)::SMALLINT AS sensor_id, i AS time, 1.0::DOUBLE AS charge, true AS auxiliary FROM range(178250) t(i)'
    const [{ events }] = (await readAll(await sourceOf(temporaryFolder(t), sql))).chunks
    expect([...events.offsets]).toEqual([0, 178_250])
    expect(events.times[178_249]).toBe(178_249)
  })
})

describe('parquet: chunks', () => {
  it('resume exactly after any of them, over several files and row groups', async (t) => {
    const folder = temporaryFolder(t)
    for (const n of [1, 2, 10]) {
      await writeQuery(join(folder, `batch_${n}.parquet`), kaggleLikeSql(40, n / 20), 'ROW_GROUP_SIZE 2048')
    }
    const source = await openSource(`parquet:${folder}/*.parquet`)
    const whole = await readAll(source, { eventsMax: 7 })
    expect(whole.ids).toHaveLength(120)
    expect(await source.count()).toBe(120)
    expect(whole.chunks.every(({ events }) => events.eventIds.length <= 7)).toBe(true)
    for (const at of [0, 1, 5, 6, 11, whole.chunks.length - 1]) {
      const { resume } = whole.chunks[at]
      const seen = whole.chunks.slice(0, at + 1).flatMap(({ events }) => [...events.eventIds]).length
      const rest = await readAll(source, { eventsMax: 7, resume })
      expect(rest.ids).toEqual(whole.ids.slice(seen))
      expect(rest.chunks.map(({ events }) => events)).toEqual(
        whole.chunks.slice(at + 1).map(({ events }) => events),
      )
    }
  })

  it('do not resume in a file that is gone or another', async (t) => {
    const folder = temporaryFolder(t)
    const [one, two] = ['one', 'two'].map((name) => join(folder, `${name}.parquet`))
    for (const path of [one, two]) await writeQuery(path, rowsSql([1, 2, 3].flatMap((id) => eventRows(id))))
    const { chunks } = await readAll(await openSource(`parquet:${one}`), { eventsMax: 1 })
    const { resume } = chunks[0]
    await expect(readAll(await openSource(`parquet:${two}`), { resume })).rejects.toThrow(
      /one\.parquet, which is gone/,
    )
    await writeQuery(one, rowsSql(eventRows(1, 50)))
    await expect(readAll(await openSource(`parquet:${one}`), { resume })).rejects.toThrow(
      /had \d+ bytes and has/,
    )
    await expect(readAll(await openSource(`parquet:${one}`), { resume: 'sim?' })).rejects.toThrow(
      'the position "sim?"',
    )
  })

  it('end when aborted', async (t) => {
    const source = await sourceOf(temporaryFolder(t), kaggleLikeSql(2_000))
    const stop = new AbortController()
    let chunks = 0
    for await (const _chunk of source.read({ eventsMax: 10, signal: stop.signal }))
      if (++chunks === 3) stop.abort()
    expect(chunks).toBe(3)
  })
})

describe('parquet: files', () => {
  it.for([
    "it's",
    'say "hi"',
    'a b',
    'x[1]',
    'star*',
    'what?',
    'a{1,2}',
    'ä☃',
    '**',
    'a,b',
    '$HOME',
    'back\\slash',
  ])('may be called %s.parquet', async (name, t) => {
    const folder = join(temporaryFolder(t), 'event_id=99')
    mkdirSync(folder)
    await writeQuery(join(folder, 'x1.parquet'), rowsSql(eventRows(1)))
    await writeQuery(join(folder, 'plain'), rowsSql(eventRows(2)))
    const path = join(folder, `${name}.parquet`)
    copyFileSync(join(folder, 'plain'), path)
    expect((await readAll(await openSource(`parquet:${path}`))).ids).toEqual([2n])
  })

  it('come in the order given, and in the order of numbers from a pattern', async (t) => {
    const folder = temporaryFolder(t)
    for (const n of [10, 9, 1]) await writeQuery(join(folder, `batch_${n}.parquet`), rowsSql(eventRows(n)))
    expect((await readAll(await openSource(`parquet:${folder}/batch_*.parquet`))).ids).toEqual([1n, 9n, 10n])
    const [nine, one] = [9, 1].map((n) => join(folder, `batch_${n}.parquet`))
    expect((await readAll(await openSource(`parquet:${nine},${one}`))).ids).toEqual([9n, 1n])
  })

  it('that cannot be read are an error that names them', async (t) => {
    const folder = temporaryFolder(t)
    const good = join(folder, 'good.parquet')
    await writeQuery(good, kaggleLikeSql(50))
    const bytes = readFileSync(good)
    const bad = {
      'truncated.parquet': bytes.subarray(0, bytes.length - 100),
      'half.parquet': bytes.subarray(0, bytes.length / 2),
      'empty.parquet': Buffer.alloc(0),
      'text.parquet': Buffer.from('event_id,sensor_id,time\n1,2,3\n'.repeat(10)),
      'other-magic.parquet': Buffer.concat([Buffer.from('PAR1'), Buffer.alloc(40, 7), Buffer.from('PAR1')]),
    }
    for (const [name, content] of Object.entries(bad)) {
      const path = join(folder, name)
      writeFileSync(path, content)
      const reading = readAll(await openSource(`parquet:${path}`))
      await expect(reading, name).rejects.toMatchObject({ code: 'source_unreadable', disposition: 'stop' })
      await expect(reading, name).rejects.toThrow(`${basename(path)}: not readable as Parquet`)
    }
  })

  it('that break in the middle give what is whole before it', async (t) => {
    const folder = temporaryFolder(t)
    const path = join(folder, 'broken.parquet')
    await writeQuery(path, kaggleLikeSql(2_000), 'ROW_GROUP_SIZE 2048')
    const whole = (await readAll(await openSource(`parquet:${path}`))).ids
    const bytes = readFileSync(path)
    const half = Math.floor(bytes.length / 2)
    bytes.fill(0xff, half, half + 100_000)
    writeFileSync(path, bytes)
    const ids: bigint[] = []
    const read = async () => {
      const signal = new AbortController().signal
      for await (const { events } of (await openSource(`parquet:${path}`)).read({ eventsMax: 64, signal })) {
        ids.push(...events.eventIds)
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'source_unreadable' })
    expect(ids.length).toBeGreaterThan(100)
    expect(ids).toEqual(whole.slice(0, ids.length))
  })

  it.for([
    ['event_id', 'SELECT 1 AS sensor_id, 2 AS "time", 1.5::DOUBLE AS charge, true AS auxiliary'],
    ['charge', 'SELECT 7 AS event_id, 1 AS sensor_id, 2 AS "time", true AS auxiliary'],
  ])('without column %s are an error that says what columns exist', async ([column, sql], t) => {
    const folder = temporaryFolder(t)
    const reading = readAll(await sourceOf(folder, sql))
    await expect(reading).rejects.toMatchObject({ code: 'source_unreadable' })
    await expect(reading).rejects.toThrow(`batch_1.parquet: column ${column} is missing; it has `)
    await expect(reading).rejects.toThrow('sensor_id INTEGER, time INTEGER')
  })

  it('with text for numbers are an error that names the column', async (t) => {
    const sql = rowsSql(eventRows(1), { sensor_id: 'VARCHAR' })
    const reading = readAll(await sourceOf(temporaryFolder(t), sql))
    await expect(reading).rejects.toThrow('column sensor_id is VARCHAR; it should hold numbers')
  })

  it('without rows give no events', async (t) => {
    const { chunks } = await readAll(
      await sourceOf(temporaryFolder(t), `${rowsSql(eventRows(1))} WHERE false`),
    )
    expect(chunks).toEqual([])
  })

  it.for([
    { name: 'columns of text', sql: "SELECT ''::VARCHAR AS event_id, ''::VARCHAR AS time WHERE false" },
    { name: 'columns without a type', sql: 'SELECT NULL AS event_id, NULL AS sensor_id WHERE false' },
    { name: 'other columns', sql: 'SELECT 1 AS something WHERE false' },
  ])('without rows give no events whatever they are made of: $name', async ({ sql }, t) => {
    const folder = temporaryFolder(t)
    const empty = join(folder, 'empty.parquet')
    await writeQuery(empty, sql)
    await writeQuery(join(folder, 'full.parquet'), rowsSql(eventRows(1)))
    const source = await openSource(`parquet:${empty},${folder}/full.parquet`)
    expect(await source.count()).toBe(1)
    expect((await readAll(source)).ids).toEqual([1n])
  })
})
