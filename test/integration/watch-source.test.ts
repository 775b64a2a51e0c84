import { cpSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSource } from '../../src/source/open.ts'
import type { SourceChunk } from '../../src/source/source.ts'
import { temporaryFolder } from '../support/broker-backends.ts'
import { collectLog } from '../support/log-lines.ts'
import { eventRows, rowsSql, writeQuery } from '../support/pulse-files.ts'
import type { Owner } from '../support/redis.ts'
import { until } from '../support/until.ts'

const QUICK = { pollMs: 10, settleMs: 40, brokenAfterMs: 120 }

/** Files elsewhere on the same disk, and a folder that is watched. */
async function place(t: Owner) {
  const folder = temporaryFolder(t)
  const incoming = join(folder, 'incoming')
  mkdirSync(incoming)
  const made = async (name: string, ids: readonly number[]) => {
    const path = join(folder, name)
    await writeQuery(path, rowsSql(ids.flatMap((id) => eventRows(id))))
    return path
  }
  return { incoming, made, at: (name: string) => join(incoming, name) }
}

/** Watches in the background; what it has given so far can be looked at any time. */
async function watch(t: Owner, folder: string, options: { resume?: string; eventsMax?: number } = {}) {
  const stop = new AbortController()
  const { log, lines } = collectLog()
  const errors = () =>
    lines.filter((line) => line.includes('"level":50')).map((line): unknown => JSON.parse(line))
  const source = await openSource(`watch:${folder}`, { watch: QUICK, log })
  const chunks: SourceChunk[] = []
  const reading = (async () => {
    for await (const chunk of source.read({ eventsMax: 256, ...options, signal: stop.signal }))
      chunks.push(chunk)
  })()
  const end = async () => {
    stop.abort()
    await reading
  }
  t.onTestFinished(end)
  const ids = () => chunks.flatMap(({ events }) => [...events.eventIds].map(Number))
  return { chunks, ids, errors, end, resume: () => chunks[chunks.length - 1].resume }
}

function footerOf(file: Buffer): Buffer {
  return file.subarray(file.length - 8 - file.readUInt32LE(file.length - 8))
}

describe('watch:', () => {
  it('emits each file that appears once, in the order of appearance', async (t) => {
    const { incoming, made, at } = await place(t)
    cpSync(await made('z', [1, 2]), at('z.parquet'))
    const watching = await watch(t, incoming)
    await until(() => watching.ids().length === 2)
    renameSync(await made('a', [3]), at('a.parquet'))
    await until(() => watching.ids().length === 3)
    cpSync(await made('same events again', [1, 2]), at('copy.parquet'))
    await until(() => watching.ids().length === 5)
    writeFileSync(at('notes.txt'), 'no')
    writeFileSync(at('.hidden.parquet'), 'no')
    cpSync(await made('m', [4]), at('m.parquet'))
    await until(() => watching.ids().length === 6)
    expect(watching.ids()).toEqual([1, 2, 3, 1, 2, 4])
    expect(watching.errors()).toEqual([])
  })

  it('waits until a file is whole', async (t) => {
    const { incoming, made, at } = await place(t)
    const bytes = await readFile(await made('slow', [7]))
    const watching = await watch(t, incoming)
    for (let part = 1; part <= 8; part++) {
      writeFileSync(at('slow.parquet'), bytes.subarray(0, Math.floor((bytes.length * part) / 8)))
      expect(watching.ids()).toEqual([])
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
    await until(() => watching.ids().length === 1)
    expect(watching.errors()).toEqual([])
  })

  it('reports a broken file, continues, and reads it once it is complete', async (t) => {
    const { incoming, made, at } = await place(t)
    const bytes = await readFile(await made('good', [5]))
    writeFileSync(at('a-truncated.parquet'), bytes.subarray(0, 100))
    await writeQuery(at('b-meta.parquet'), 'SELECT 1 AS batch_id')
    const watching = await watch(t, incoming)
    cpSync(await made('c', [6]), at('c.parquet'))
    await until(() => watching.ids().length === 1 && watching.errors().length === 2)
    const reported = watching.errors().map((line) => JSON.stringify(line))
    expect(reported.join()).toContain('a-truncated.parquet: not a whole Parquet file')
    expect(reported.join()).toContain('column event_id is missing')
    writeFileSync(at('a-truncated.parquet'), bytes)
    await until(() => watching.ids().length === 2)
    expect(watching.ids()).toEqual([6, 5])
    expect(watching.errors()).toHaveLength(2)
  })

  it('remembers finished files across restarts, even when they are touched, gone for a while or half read', async (t) => {
    const { incoming, made, at } = await place(t)
    const one = await made('1', [1, 2])
    cpSync(one, at('1.parquet'))
    const first = await watch(t, incoming)
    await until(() => first.ids().length === 2)
    await first.end()

    utimesSync(at('1.parquet'), new Date(), new Date())
    cpSync(await made('2', [3, 4, 5]), at('2.parquet'))
    const second = await watch(t, incoming, { resume: first.resume(), eventsMax: 1 })
    await until(() => second.ids().length === 3)
    await second.end()
    expect(second.ids()).toEqual([3, 4, 5])

    rmSync(at('1.parquet'))
    const third = await watch(t, incoming, { resume: second.chunks[0].resume })
    await until(() => third.ids().length === 2)
    cpSync(one, at('1.parquet'))
    cpSync(await made('another', [6, 7]), at('2.parquet'))
    await until(() => third.ids().length === 4)
    await third.end()
    expect(third.ids()).toEqual([4, 5, 6, 7])
  })

  it('takes a file that replaces another of the same name, though size and footer are the same', async (t) => {
    const { incoming, made, at } = await place(t)
    cpSync(await made('before', [1, 4, 9]), at('latest.parquet'))
    const watching = await watch(t, incoming)
    await until(() => watching.chunks.length === 1)
    const before = await readFile(at('latest.parquet'))
    const after = await readFile(await made('after', [1, 5, 9]))
    expect(footerOf(after)).toEqual(footerOf(before))
    renameSync(join(incoming, '../after'), at('latest.parquet'))
    await until(() => watching.chunks.length === 2)
    expect(watching.ids()).toEqual([1, 4, 9, 1, 5, 9])
  })

  it('waits for a folder that goes away, and forgets nothing meanwhile', async (t) => {
    const { incoming, made, at } = await place(t)
    cpSync(await made('1', [1]), at('1.parquet'))
    const watching = await watch(t, incoming)
    await until(() => watching.ids().length === 1)
    renameSync(incoming, `${incoming}-unmounted`)
    await until(() => watching.errors().length === 1)
    renameSync(`${incoming}-unmounted`, incoming)
    cpSync(await made('2', [2]), at('2.parquet'))
    await until(() => watching.ids().length === 2)
    expect(watching.ids()).toEqual([1, 2])
    expect(watching.errors()).toHaveLength(1)
  })

  it('needs a folder', async (t) => {
    const { incoming } = await place(t)
    await expect(openSource(`watch:${incoming}/nope`)).rejects.toMatchObject({ code: 'source_missing' })
  })
})
