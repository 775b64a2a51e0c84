import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, type TestContext } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { type NustreamProcess, startNustream } from '../support/nustream.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

/** Of `--shutdown-ms` and the little that is allowed beyond it, on a machine that may be busy. */
const SHUTDOWN = ['--shutdown-ms', '1000']
const IN_TIME_MS = 15_000

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-interrupt-'))
  t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function interrupt(
  part: NustreamProcess,
  signal: NodeJS.Signals = 'SIGINT',
): Promise<number | undefined> {
  const startedAt = performance.now()
  const code = await part.kill(signal)
  expect(performance.now() - startedAt, part.stderr()).toBeLessThan(IN_TIME_MS)
  return code
}

async function emitted(url: string, events: number): Promise<void> {
  await until(
    async () => {
      await using broker = await openBroker(url)
      return (await broker.totals()).emitted >= events
    },
    { withinMs: 60_000, everyMs: 200, what: `${events} events emitted` },
  )
}

describe('an interrupt', () => {
  it('ends up while it drains into an unreachable model server', async (t) => {
    const url = `sqlite:${join(temporaryFolder(t), 'stream.db')}`
    const events = ['--events', '300', '--rate', 'max', '--broker', url]
    const away = ['--model', 'http://127.0.0.1:1', '--headless', '--port', '0', '--json', ...SHUTDOWN]
    const up = startNustream(['up', ...events, ...away], t)
    await emitted(url, 300)
    expect(await interrupt(up)).toBe(130)
    expect(JSON.parse(up.stdout().trim())).toMatchObject({ emitted: 300, predicted: 0, deadLettered: 0 })
  })

  it('ends every role while Redis is gone', async (t) => {
    const redis = await startRedis(t)
    const common = ['--broker', redis.url, '--port', '0', '--log-level', 'info']
    const folder = temporaryFolder(t)
    const source = ['--rate', '200', '--batch', '16']
    const parts = [
      startNustream(['emit', '--run', 'a', ...source, ...common], t),
      startNustream(
        ['consume', '--model', 'linefit', '--archive', join(folder, 'a'), ...SHUTDOWN, ...common],
        t,
      ),
      startNustream(['archive', '--out', join(folder, 'b'), ...common], t),
      startNustream(['display', ...common], t),
      startNustream(['up', '--model', 'linefit', '--run', 'b', ...source, ...SHUTDOWN, ...common], t),
    ]
    for (const part of parts)
      await until(() => part.stderr().includes('"msg":"serving'), { withinMs: 90_000, what: part.stderr() })
    await emitted(redis.url, 100)
    await redis.kill9()
    await until(() => parts[0].stderr().includes('trying again'), { withinMs: 60_000, what: 'trouble' })
    expect(await Promise.all(parts.map((part) => interrupt(part)))).toEqual(parts.map(() => 130))
  })

  it.for(['SIGINT', 'SIGTERM'] as const)(
    'ends simulate with 130 on %s, for the data set is not there',
    async (signal, t) => {
      const out = join(temporaryFolder(t), 'set')
      const simulate = startNustream(['simulate', '--events', '5000000', '--out', out], t)
      await until(() => existsSync(join(out, 'train')), { withinMs: 60_000, what: simulate.stderr() })
      expect(await interrupt(simulate, signal)).toBe(130)
      expect(simulate.stderr()).toBe('')
    },
  )
})

it('a consumer whose archive cannot be written stops, and gives the reason in one sentence', async (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'file')
  writeFileSync(file, '')
  const broker = ['--broker', `sqlite:${join(folder, 'stream.db')}`, '--port', '0', '--log-level', 'warn']
  const consume = startNustream(['consume', '--model', 'linefit', '--archive', file, ...broker], t)
  expect(await consume.ended).toBe(2)
  expect(consume.stderr()).toMatch(/^nustream: .*--archive$/m)
  expect(consume.stderr()).not.toContain('    at ')
})
