import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, type TestContext } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { batch, ids, storedNow } from '../conformance/broker/support.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

const PROGRAM = fileURLToPath(new URL('../support/broker-process.ts', import.meta.url))

interface Part {
  readonly child: ChildProcess
  readonly lines: string[]
  kill9(): Promise<void>
}

function start(t: TestContext, url: string, ...args: string[]): Part {
  const child = spawn(process.execPath, [PROGRAM, url, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  child.stdout.on('data', (chunk: Buffer) => lines.push(...`${chunk}`.split('\n').filter(Boolean)))
  async function kill9(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  t.onTestFinished(kill9)
  return { child, lines, kill9 }
}

const backends = [
  {
    name: 'SQLite',
    async open(t: TestContext): Promise<string> {
      const folder = mkdtempSync(join(tmpdir(), 'nustream-processes-'))
      t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
      return `sqlite:${join(folder, 'broker.db')}`
    },
  },
  { name: 'Redis', open: async (t: TestContext): Promise<string> => (await startRedis(t)).url },
]

describe.each(backends)('$name broker between processes', ({ open }) => {
  it('counts the attempts of consumers that were killed', async (t) => {
    const url = await open(t)
    await using broker = await openBroker(url)
    await broker.publish(batch('poison'))
    for (const attempt of [1, 2, 3, 4]) {
      const consumer = start(t, url, 'hold', `c${attempt}`)
      await until(() => consumer.lines.includes(`leased poison ${attempt}`))
      await consumer.kill9()
    }
  })

  it('gives a consumer that was killed and started again its own batches at once', async (t) => {
    const url = await open(t)
    await using broker = await openBroker(url, { visibilityMs: 1e9 })
    await broker.publish(batch('b1'))
    for (const attempt of [1, 2]) {
      const consumer = start(t, url, 'hold', 'same name')
      await until(() => consumer.lines.includes(`leased b1 ${attempt}`))
      await consumer.kill9()
    }
  })

  it('predicts every event once while emitters and consumers are killed at random', async (t) => {
    const url = await open(t)
    const batches = 400
    await using broker = await openBroker(url, { predictionsMax: 10_000 })
    const parts = new Map<string, Part>()
    const roles = [
      ['emit', 'run'],
      ['settle', 'c1'],
      ['settle', 'c2'],
    ] as const
    for (const [role, name] of roles) parts.set(name, start(t, url, role, name, `${batches}`))
    for (let kill = 0; kill < 9; kill++) {
      const before = await broker.totals()
      await until(async () => {
        const now = await broker.totals()
        return now.predicted - before.predicted >= 40 || now.predicted === batches * 4
      })
      const [role, name] = roles[kill % roles.length]
      await parts.get(name)?.kill9()
      parts.set(name, start(t, url, role, name, `${batches}`))
    }
    const whole = { emitted: batches * 4, predicted: batches * 4, deadLettered: 0 }
    await until(async () => (await broker.totals()).predicted >= whole.predicted, { withinMs: 30_000 })
    await until(async () => (await broker.backlog()).events === 0)
    expect(await broker.totals()).toEqual(whole)
    const stored = ids(await storedNow(broker, 1_000))
    expect(stored.length).toBe(batches)
    expect(new Set(stored).size).toBe(batches)
    expect((await broker.position('run'))?.done).toBe(true)
  })
})
