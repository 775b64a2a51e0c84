import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { freePort } from '../support/free-port.ts'
import { startNustream } from '../support/nustream.ts'
import { startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'

describe('emitter, model server and consumer as processes over Redis', () => {
  it('predict every simulated event once, and each part tells how it is', async ({ onTestFinished }) => {
    const redis = await startRedis({ onTestFinished })
    const [emitPort, servePort, consumePort] = [await freePort(), await freePort(), await freePort()]
    const broker = ['--broker', redis.url]
    const serve = startNustream(['serve', '--model', 'linefit', '--port', `${servePort}`], { onTestFinished })
    const model = ['--model', `http://127.0.0.1:${servePort}`]
    const consume = startNustream(['consume', ...broker, ...model, '--port', `${consumePort}`], {
      onTestFinished,
    })
    const flags = ['--source', 'sim:5', '--events', '3000', '--rate', 'max', '--port', `${emitPort}`]
    const emit = startNustream(['emit', ...broker, ...flags], { onTestFinished })
    expect(await emit.ended, emit.stderr()).toBe(0)
    await using reader = await openBroker(redis.url)
    const totals = await until(
      async () => {
        const now = await reader.totals()
        return now.predicted + now.deadLettered === 3_000 ? now : undefined
      },
      { withinMs: 60_000, what: `3,000 events (${consume.stderr()})` },
    )
    expect(totals.emitted).toBe(3_000)
    const metrics = await (await fetch(`http://127.0.0.1:${consumePort}/metrics`)).text()
    expect(metrics).toMatch(/nustream_heartbeat_timestamp_seconds\{role="consumer"/)
    const health = await fetch(`http://127.0.0.1:${servePort}/health`)
    expect(health.status).toBe(200)
    const roles = (await reader.heartbeats()).map((beat) => beat.role)
    expect(roles).toContain('consumer')
    expect(await consume.kill('SIGTERM')).toBe(0)
    expect(await serve.kill('SIGTERM')).toBe(0)
  })

  it('are missed by name when they die, and not when they end in order', async ({ onTestFinished }) => {
    const redis = await startRedis({ onTestFinished })
    await using reader = await openBroker(redis.url)
    const broker = ['--broker', redis.url, '--port', '0']
    const start = (name: string, args: readonly string[]) =>
      startNustream([...args, '--name', name, ...broker], { onTestFinished })
    const names = async () => (await reader.heartbeats()).map(({ instance }) => instance)
    const [stopped, interrupted, killed] = ['stopped', 'interrupted', 'killed'].map((name) =>
      start(name, ['consume', '--model', 'linefit', '--threads', '1']),
    )
    const done = start('done', ['emit', '--source', 'sim:5', '--events', '100', '--rate', 'max'])
    expect(await done.ended, done.stderr()).toBe(0)
    await until(async () => (await names()).length === 3, { withinMs: 30_000, what: 'three consumers beat' })
    expect(await names()).toEqual(['interrupted', 'killed', 'stopped'])
    expect(await stopped.kill('SIGTERM')).toBe(0)
    expect(await interrupted.kill('SIGINT')).toBe(130)
    await killed.kill('SIGKILL')
    expect(await names()).toEqual(['killed'])
    await until(async () => (await reader.heartbeats()).every(({ alive }) => !alive), { withinMs: 30_000 })
    const doctor = startNustream(['doctor', '--broker', redis.url], { onTestFinished })
    expect(await doctor.ended).toBe(1)
    expect(doctor.stdout()).toMatch(/✘ consumer killed: last heartbeat \d+ s ago.*the process died or hangs/)
    expect(doctor.stdout()).not.toMatch(/stopped|interrupted|done/)
  })

  it('names the port when it is taken, and how to choose another', async ({ onTestFinished }) => {
    const port = await freePort()
    const blocker = createServer().listen(port, '127.0.0.1')
    await once(blocker, 'listening')
    onTestFinished(() => new Promise<void>((resolve) => void blocker.close(() => resolve())))
    const folder = mkdtempSync(join(tmpdir(), 'nustream-port-'))
    const roles = [
      ['serve', '--model', 'linefit'],
      ['consume', '--broker', `sqlite:${join(folder, 'a.db')}`],
      ['emit', '--broker', `sqlite:${join(folder, 'b.db')}`],
    ]
    for (const args of roles) {
      const role = startNustream([...args, '--port', `${port}`], { onTestFinished })
      expect(await role.ended, args[0]).toBe(1)
      expect(role.stderr()).toMatch(new RegExp(`${port}.*--port`, 's'))
    }
  })
})
