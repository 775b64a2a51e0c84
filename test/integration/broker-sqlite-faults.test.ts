import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, type TestContext } from 'vitest'
import type { Broker, Delivery } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import type { OpenOptions } from '../../src/broker/options.ts'
import { batch, bytes, deadLetter, predicted, settleAll, take } from '../conformance/broker/support.ts'
import { collectLog } from '../support/log-lines.ts'
import { until } from '../support/until.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-sqlite-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function open(t: TestContext, file: string, options: OpenOptions = {}) {
  const broker = await openBroker(`sqlite:${file}`, { retryMaxMs: 50, ...options })
  t.onTestFinished(() => broker.close())
  return broker
}

it('refuses a file that is no database, a foreign one, a later one and a damaged one', async (t) => {
  const folder = folderOf(t)
  const text = join(folder, 'text.db')
  writeFileSync(
    text,
    'this is a text of more than a hundred bytes, which no database would begin with. '.repeat(20),
  )
  await expect(openBroker(`sqlite:${text}`)).rejects.toMatchObject({
    code: 'broker_url_invalid',
    message: `broker file ${text} is not an SQLite database; name another file, or move it away`,
  })

  const foreign = join(folder, 'foreign.db')
  new DatabaseSync(foreign).exec('CREATE TABLE theirs (x)')
  await expect(openBroker(`sqlite:${foreign}`)).rejects.toMatchObject({
    message: /belongs to another program/,
  })

  const later = join(folder, 'later.db')
  await (await openBroker(`sqlite:${later}`)).close()
  new DatabaseSync(later).exec('PRAGMA user_version = 99')
  await expect(openBroker(`sqlite:${later}`)).rejects.toMatchObject({ message: /schema version 99/ })

  const damaged = join(folder, 'damaged.db')
  const broker = await openBroker(`sqlite:${damaged}`)
  for (let i = 0; i < 50; i++) await broker.publish(batch(`b${i}`))
  await broker.close()
  truncateSync(damaged, 16_384)
  const reading = openBroker(`sqlite:${damaged}`).then((opened) => settleAll(opened, 50, { withinMs: 2_000 }))
  await expect(reading).rejects.toMatchObject({ code: 'broker_url_invalid', message: /is damaged/ })
})

it('brings a file of the first version up to date, with what waits in it', async (t) => {
  const file = join(folderOf(t), 'first.db')
  const before = await openBroker(`sqlite:${file}`)
  await before.publish(batch('b1'))
  await before.close()
  const db = new DatabaseSync(file)
  db.exec('ALTER TABLE batches DROP COLUMN traceparent; ALTER TABLE account DROP COLUMN stream_id')
  db.exec('PRAGMA user_version = 1')
  db.close()
  const broker = await open(t, file)
  expect(await broker.streamId()).toMatch(/^[0-9a-f]{8}$/)
  await broker.publish(batch('b2'))
  expect(await settleAll(broker, 2)).toEqual(['b1', 'b2'])
  expect(await broker.totals()).toEqual({ emitted: 8, predicted: 8, deadLettered: 0 })
})

describe('a file that is deleted or replaced while it is in use', () => {
  it.each(['deleted', 'replaced'])('is noticed by the step that writes next: %s', async (how) => {
    await using folder = temporary()
    const file = join(folder.path, 'broker.db')
    await using broker = await openBroker(`sqlite:${file}`)
    await broker.publish(batch('b1'))
    const [delivery] = await take(broker, 1)
    for (const name of [file, `${file}-wal`, `${file}-shm`]) rmSync(name, { force: true })
    if (how === 'replaced') await (await openBroker(`sqlite:${file}`)).close()
    const missing = { code: 'broker_file_missing', message: /was deleted or replaced/ }
    await expect(broker.publish(batch('b2'))).rejects.toMatchObject(missing)
    await expect(broker.settle(delivery, predicted(delivery))).rejects.toMatchObject(missing)
    await expect(take(broker, 1, { consumer: 'c2' })).rejects.toMatchObject(missing)
    await expect(broker.ping()).rejects.toMatchObject({ code: 'broker_unreachable' })
    await expect(broker.checkWritable()).rejects.toMatchObject({ code: 'broker_unreachable' })
  })
})

it('creates the folder of its file, and gives the reason if it cannot', async (t) => {
  const folder = folderOf(t)
  await (await openBroker(`sqlite:${join(folder, 'deep', 'down', 'broker.db')}`)).close()
  writeFileSync(join(folder, 'file'), '')
  await expect(openBroker(`sqlite:${join(folder, 'file', 'broker.db')}`)).rejects.toMatchObject({
    code: 'broker_url_invalid',
    message: /cannot be made/,
  })
  mkdirSync(join(folder, 'a folder'))
  await expect(openBroker(`sqlite:${join(folder, 'a folder')}`)).rejects.toMatchObject({
    message: /cannot be opened/,
  })
})

it('reports that its file is not writable', async (t) => {
  const folder = folderOf(t)
  const file = join(folder, 'broker.db')
  await (await openBroker(`sqlite:${file}`)).close()
  chmodSync(file, 0o444)
  giveUpRoot(t, folder)
  await expect(openBroker(`sqlite:${file}`)).rejects.toMatchObject({ code: 'broker_read_only' })
})

it('waits while another process holds the file, without blocking this one', async (t) => {
  const file = join(folderOf(t), 'broker.db')
  const broker = await open(t, file)
  const other = new DatabaseSync(file)
  other.exec('BEGIN IMMEDIATE')
  const publishing = broker.publish(batch('b1'))
  let turns = 0
  const turning = setInterval(() => turns++, 5)
  await until(() => turns >= 10)
  clearInterval(turning)
  expect((await broker.backlog()).unreadBatches).toBe(0)
  other.exec('COMMIT')
  expect(await publishing).toBe('stored')
})

it('settles once the file is free again', async (t) => {
  const file = join(folderOf(t), 'broker.db')
  const broker = await open(t, file)
  await broker.publish(batch('b1'))
  const [delivery] = await take(broker, 1)
  const other = new DatabaseSync(file)
  other.exec('BEGIN IMMEDIATE')
  let isSettled = false
  const settling = broker.settle(delivery, predicted(delivery)).then((result) => {
    isSettled = true
    return result
  })
  await until(async () => (await broker.backlog()).leasedBatches === 1)
  expect(isSettled).toBe(false)
  other.exec('COMMIT')
  expect(await settling).toBe('settled')
})

describe('a step that fails halfway', () => {
  const letter = deadLetter('b1', 7n)
  const position = { run: 'r', sequence: 1, resume: 'here', emitted: 5, done: false }
  const steps = [
    {
      name: 'publish()',
      tables: ['batches', 'payloads', 'dead_letters', 'runs', 'account'],
      run: (broker: Broker) => broker.publish(batch('new'), position, [letter]),
    },
    {
      name: 'settle()',
      tables: ['batches', 'payloads', 'predictions', 'dead_letters', 'settled', 'account'],
      run: (broker: Broker, delivery: Delivery) =>
        broker.settle(delivery, { predictions: bytes('p'), predicted: 3, deadLetters: [letter] }),
    },
    {
      name: 'split()',
      tables: ['batches', 'payloads', 'settled', 'account'],
      run: (broker: Broker, delivery: Delivery) =>
        broker.split(delivery, [batch('part 1', 2), batch('part 2', 2)]),
    },
    {
      name: 'replayDeadLetter()',
      tables: ['batches', 'payloads', 'dead_letters', 'account'],
      run: (broker: Broker) => broker.replayDeadLetter('1'),
    },
  ]
  const cases = steps.flatMap(({ tables, ...step }) => tables.map((table) => ({ ...step, table })))

  it.each(cases)('$name stores nothing when "$table" refuses', async ({ run, table }) => {
    await using folder = temporary()
    const file = join(folder.path, 'broker.db')
    await using broker = await openBroker(`sqlite:${file}`, { upkeepMs: 1e9, renewMs: 1e9 })
    await broker.publish(batch('b1'))
    await broker.publish(undefined, { ...position, run: 'other' }, [deadLetter('b0', 1n)])
    const [delivery] = await take(broker, 1)
    const db = new DatabaseSync(file)
    const kinds = ['INSERT', 'UPDATE', 'DELETE']
    for (const kind of kinds) {
      db.exec(
        `CREATE TRIGGER refuse_${kind} BEFORE ${kind} ON ${table} BEGIN SELECT RAISE(ABORT, 'refused'); END`,
      )
    }
    const before = contentOf(db)
    await expect(run(broker, delivery)).rejects.toThrow('refused')
    expect(contentOf(db)).toEqual(before)
    for (const kind of kinds) db.exec(`DROP TRIGGER refuse_${kind}`)
    db.close()
    expect(await run(broker, delivery)).toBeTruthy()
  })
})

it('loses nothing on a disk that is full, and recovers by being consumed', async (t) => {
  const folder = mountSmallDisk(t, '24m')
  const { log, lines } = collectLog()
  const broker = await open(t, join(folder, 'broker.db'), { log, upkeepMs: 50 })
  const total = 200
  const payload = randomBytes(465_000)
  let published = 0
  const emitting = (async () => {
    for (let i = 0; i < total; i++) {
      await broker.publish({ ...batch(`b${i}`), payload })
      published++
    }
  })()
  await until(() => lines.some((line) => line.includes('broker not usable')))
  expect(published).toBeLessThan(total)
  expect(published).toBeGreaterThan(10)
  const settled = await settleAll(broker, total, { withinMs: 60_000 })
  await emitting
  expect(new Set(settled).size).toBe(total)
  expect(await broker.totals()).toEqual({ emitted: total * 4, predicted: total * 4, deadLettered: 0 })
})

it('continues when a full disk has room again', async (t) => {
  const folder = mountSmallDisk(t, '8m')
  const broker = await open(t, join(folder, 'broker.db'), { diskFreeMinBytes: 0 })
  await broker.publish(batch('b1'))
  const [delivery] = await take(broker, 1)
  const filler = join(folder, 'filler')
  fill(filler)
  const payload = randomBytes(1_000_000)
  let isStored = false
  const publishing = broker.publish({ ...batch('b2'), payload }).then((result) => {
    isStored = true
    return result
  })
  await until(async () => (await broker.ping().then(() => true)) && !isStored)
  rmSync(filler)
  expect(await publishing).toBe('stored')
  expect(await broker.settle(delivery, predicted(delivery))).toBe('settled')
  expect(await settleAll(broker, 1)).toEqual(['b2'])
})

it('does not grow with what has passed through, and gives room back after a flood', async (t) => {
  const file = join(folderOf(t), 'broker.db')
  const broker = await open(t, file, { upkeepMs: 5, predictionsMax: 10 })
  const payload = randomBytes(465_000)
  for (let i = 0; i < 300; i++) await broker.publish({ ...batch(`flood ${i}`), payload })
  const flooded = statSync(file).size
  expect(flooded).toBeGreaterThan(100_000_000)
  await settleAll(broker, 300, { withinMs: 30_000 })
  await until(() => statSync(file).size < 80_000_000, { withinMs: 20_000 })
  for (let i = 0; i < 200; i++) {
    await broker.publish({ ...batch(`after ${i}`), payload })
    await settleAll(broker, 1)
  }
  expect(statSync(file).size).toBeLessThan(80_000_000)
  expect(statSync(`${file}-wal`).size).toBeLessThan(70_000_000)
})

const TABLES = ['batches', 'payloads', 'settled', 'predictions', 'dead_letters', 'runs', 'account']

/** Every row of every table that publishing and settling change. */
function contentOf(db: DatabaseSync) {
  return TABLES.map((table) => db.prepare(`SELECT * FROM ${table}`).all())
}

function temporary() {
  const path = mkdtempSync(join(tmpdir(), 'nustream-sqlite-'))
  return { path, [Symbol.asyncDispose]: async () => rmSync(path, { recursive: true, force: true }) }
}

/** Root may write whatever the mode of a file says: until the test ends this process is nobody, who owns the folder. */
function giveUpRoot(t: TestContext, folder: string): void {
  if (process.geteuid?.() !== 0) return
  const nobody = 65_534
  chownSync(folder, nobody, nobody)
  process.seteuid?.(nobody)
  t.onTestFinished(() => process.seteuid?.(0))
}

/** A file system of its own; only root may mount one, and a test that cannot is told so and not passed silently. */
function mountSmallDisk(t: TestContext, size: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'pipe' })
  } catch (error) {
    rmSync(folder, { recursive: true })
    t.skip(`needs the right to mount a small file system: ${error}`)
  }
  t.onTestFinished(() => {
    execFileSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

function fill(file: string): void {
  for (const size of [100_000, 4_096, 512]) {
    try {
      for (;;) writeFileSync(file, new Uint8Array(size), { flag: 'a' })
    } catch {
      // As full as it gets with pieces of this size.
    }
  }
}
