import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkEvents } from '../../src/event/check.ts'
import { openSource } from '../../src/source/open.ts'
import { temporaryFolder } from '../support/broker-backends.ts'
import { eventRows, readAll, rowsSql, writeQuery } from '../support/pulse-files.ts'

/** The source of one file with the rows of a query. */
async function sourceOf(folder: string, sql: string) {
  const path = join(folder, 'a.parquet')
  await writeQuery(path, sql)
  return openSource(`parquet:${path}`)
}

describe('parquet: files of another detector', () => {
  /** 200 events of 120 pulses; `sensor` is SQL of the event `e` and the pulse `p`. */
  const eventsSql = (sensor: string) =>
    `SELECT e AS event_id, (${sensor})::INTEGER AS sensor_id, 6000 + p AS time, 1.0::DOUBLE AS charge, true AS auxiliary
      FROM range(200) a(e), range(120) b(p)`

  it('are refused if many sensors are not in IceCube', async (t) => {
    const source = await sourceOf(temporaryFolder(t), eventsSql('(e * 120 + p) % 6000'))
    const emitted: number[] = []
    const reading = (async () => {
      const signal = new AbortController().signal
      for await (const { events } of source.read({ eventsMax: 16, signal }))
        emitted.push(events.eventIds.length)
    })()
    await expect(reading).rejects.toMatchObject({
      code: 'source_unreadable',
      message: expect.stringMatching(/3360 of its first 24000 pulses are of sensors other than 0 to 5159/),
    })
    expect(emitted).toEqual([])
  })

  it('lose the events alone where few sensors are wrong', async (t) => {
    const source = await sourceOf(
      temporaryFolder(t),
      eventsSql('CASE WHEN e = 7 AND p = 0 THEN 6000 ELSE e * 20 + p END'),
    )
    const { chunks } = await readAll(source)
    expect(chunks.flatMap(({ events }) => checkEvents(events)).map(({ message }) => message)).toEqual([
      'event 7: pulse 0 has sensor id 6000; sensors are 0 to 5159',
    ])
  })

  it('are doubted where whole strings are silent in many events', async (t) => {
    const folder = temporaryFolder(t)
    const doubts: string[] = []
    const onNotice = (message: string) => doubts.push(message)
    const read = async (name: string, sensor: string) => {
      await writeQuery(join(folder, name), eventsSql(sensor))
      await readAll(await openSource(`parquet:${join(folder, name)}`, { onNotice }))
    }
    await read('icecube.parquet', '(e * 120 + p) % 5160')
    expect(doubts).toEqual([])
    await read('orca.parquet', '(e * 120 + p) % 2070')
    expect(doubts).toEqual([
      expect.stringMatching(/orca.parquet: its first 24000 pulses are of 35 of the 86 strings/),
    ])
  })

  it('are refused where they name another detector', async (t) => {
    const folder = temporaryFolder(t)
    for (const [name, isKnown] of [
      ['ORCA6', false],
      ['IceCube-86', true],
    ] as const) {
      const path = join(folder, `${name}.parquet`)
      await writeQuery(path, rowsSql(eventRows(1)), `KV_METADATA {detector: '${name}'}`)
      const reading = readAll(await openSource(`parquet:${path}`))
      if (isKnown) expect((await reading).ids).toEqual([1n])
      else await expect(reading).rejects.toThrow('its events are of the detector "ORCA6"')
    }
  })

  it('are refused where a geometry file beside them, or above, puts sensors elsewhere', async (t) => {
    const folder = temporaryFolder(t)
    mkdirSync(join(folder, 'night'))
    const path = join(folder, 'night', 'a.parquet')
    await writeQuery(path, rowsSql(eventRows(1)))
    for (const beside of [folder, join(folder, 'night')]) {
      const geometry = join(beside, 'sensor_geometry.csv')
      writeFileSync(geometry, 'sensor_id,x,y,z\n0,1,2,3\n')
      for (const spec of [`parquet:${path}`, `watch:${join(folder, 'night')}`])
        await expect(openSource(spec)).rejects.toThrow(/puts sensor 0 at \(1, 2, 3\) m/)
      rmSync(geometry)
    }
  })
})
