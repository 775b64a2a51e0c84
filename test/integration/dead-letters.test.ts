import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { encodeEventBatch } from '../../src/event/wire.ts'
import { startNustream } from '../support/nustream.ts'
import { randomEvents } from '../support/random-events.ts'

describe('nustream dead-letters', () => {
  it('lists, shows, replays and drops what could not be processed', async ({ onTestFinished }) => {
    const folder = mkdtempSync(join(tmpdir(), 'nustream-letters-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const url = `sqlite:${join(folder, 'stream.db')}`
    const events = randomEvents({ seed: 4, events: 3 })
    events.charges[events.offsets[1]] = Number.NaN
    {
      await using broker = await openBroker(url)
      const payload = encodeEventBatch(events)
      await broker.publish({ batchId: 'mixed', payload, events: 3, emittedAtMs: Date.now() })
      const pickle = Buffer.from('\x80\x04\x95foreign')
      await broker.publish({ batchId: 'pickle', payload: pickle, events: 1, emittedAtMs: Date.now() })
    }
    const consumer = startNustream(['consume', '--broker', url, '--port', '0'], { onTestFinished })
    const run = async (...args: string[]) => {
      const command = startNustream(['dead-letters', ...args, '--broker', url], { onTestFinished })
      return { code: await command.ended, out: command.stdout(), err: command.stderr() }
    }
    let letters: { id: string; event?: string; code: string; message: string }[] = []
    for (let tries = 0; letters.length < 2 && tries < 30; tries++)
      letters = JSON.parse((await run('list', '--json')).out)
    await consumer.kill('SIGTERM')
    expect(letters.map(({ code }) => code).toSorted()).toEqual(['charge_not_finite', 'wire_unreadable'])
    const nan = letters.find(({ code }) => code === 'charge_not_finite')
    expect(nan?.event).toBe(String(events.eventIds[1]))
    expect((await run('list')).out).toContain('NaN')
    const shown = JSON.parse((await run('show', nan?.id ?? '')).out)
    expect(shown.pulses.sensor_id).toHaveLength(events.offsets[2] - events.offsets[1])
    expect(shown.pulses.charge[0]).toBe('NaN')
    const unreadable = letters.find(({ code }) => code === 'wire_unreadable')
    expect(JSON.parse((await run('show', unreadable?.id ?? '')).out).payloadBegins).toBe(
      String.raw`\xc2\x80\x04\xc2\x95foreign`,
    )
    const replayed = await run('replay', 'all')
    expect(replayed.out, replayed.err).toContain('replayed 2')
    expect(JSON.parse((await run('list', '--json')).out)).toEqual([])
    const gone = await run('drop', nan?.id ?? '')
    expect(gone.code).toBe(2)
    expect(gone.err).toContain(nan?.id ?? 'id')
    await using broker = await openBroker(url)
    expect((await broker.backlog()).unreadBatches).toBe(2)
  })
})
