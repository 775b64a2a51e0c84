import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { batch } from '../conformance/broker/support.ts'
import { startNustream } from '../support/nustream.ts'

it('doctor misses a consumer where batches have waited for long, and only then', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-doctor-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'stream.db')
  await using broker = await openBroker(`sqlite:${file}`)
  await broker.publish(batch('b1'))
  const doctor = async () => {
    const { ended, stdout } = startNustream(['doctor', '--broker', `sqlite:${file}`], t)
    return { code: await ended, says: stdout() }
  }
  expect(await doctor()).toMatchObject({ code: 0 })
  const db = new DatabaseSync(file)
  db.exec('UPDATE batches SET published_at_ms = published_at_ms - 120000')
  db.close()
  const missed = await doctor()
  expect(missed.code).toBe(1)
  expect(missed.says).toContain(
    '✘ consumer: batches wait, but no consumer sends heartbeats: start one (nustream consume)',
  )
  await broker.beat({ role: 'consumer', instance: 'c1', everyMs: 60_000, url: undefined })
  expect(await doctor()).toMatchObject({ code: 0, says: expect.stringContaining('✔ consumer c1') })
})
