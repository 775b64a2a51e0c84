import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openBroker } from '../../src/broker/open.ts'
import { startNustream } from '../support/nustream.ts'
import { until } from '../support/until.ts'

const CHANCE_RAD = Math.PI / 2

function lastLine(text: string): unknown {
  return JSON.parse(text.trim().split('\n').at(-1) ?? '')
}

describe('nustream up', () => {
  it('reconstructs 20,000 simulated events and accounts for each', async ({ onTestFinished }) => {
    const up = startNustream(['up', '--events', '20000', '--port', '0', '--json'], { onTestFinished })
    expect(await up.ended, up.stderr()).toBe(0)
    const account = lastLine(up.stdout()) as Record<string, number> & { latencyMs: Record<string, number> }
    expect(account['emitted']).toBe(20_000)
    expect(account['predicted'] + account['deadLettered']).toBe(20_000)
    expect(account['eventsPerSecond']).toBeGreaterThan(0)
    expect(account['meanAngularErrorRad']).toBeGreaterThan(0)
    expect(account['meanAngularErrorRad']).toBeLessThan(CHANCE_RAD - 0.1)
    expect(account.latencyMs['p50']).toBeGreaterThan(0)
    expect(account.latencyMs['p99']).toBeGreaterThanOrEqual(account.latencyMs['p50'])
  })

  it('gives the same events and the same error for the same seed', async ({ onTestFinished }) => {
    const run = async () => {
      const args = ['up', '--events', '500', '--source', 'sim:11', '--rate', 'max', '--port', '0', '--json']
      const up = startNustream(args, { onTestFinished })
      await up.ended
      return lastLine(up.stdout()) as { meanAngularErrorRad: number }
    }
    const first = await run()
    expect((await run()).meanAngularErrorRad).toBeCloseTo(first.meanAngularErrorRad, 4)
  })

  it('drains, prints the account and ends with 130 when interrupted', async ({ onTestFinished }) => {
    const broker = `sqlite:${join(mkdtempSync(join(tmpdir(), 'nustream-up-')), 'stream.db')}`
    await using reader = await openBroker(broker)
    const args = ['up', '--rate', '500', '--port', '0', '--json', '--broker', broker]
    const up = startNustream(args, { onTestFinished })
    const predicted = async () => (await reader.totals()).predicted > 0
    await until(predicted, { withinMs: 60_000, what: 'the first prediction' })
    expect(await up.kill('SIGINT')).toBe(130)
    const account = lastLine(up.stdout()) as Record<string, number>
    expect(account['emitted']).toBeGreaterThan(0)
    expect(account['predicted'] + account['deadLettered']).toBe(account['emitted'])
  })

  it.each([
    { name: 'an unknown flag', args: ['up', '--evnts', '5'], says: /--evnts/ },
    { name: 'a wrong value', args: ['up', '--rate', 'fast'], says: /--rate.*"fast"/s },
    { name: 'an unknown command', args: ['down'], says: /down/ },
  ])('ends with 2 and one sentence on $name', async ({ args, says }) => {
    const process = startNustream(args)
    expect(await process.ended).toBe(2)
    expect(process.stderr()).toMatch(says)
    expect(process.stderr()).not.toContain('    at ')
  })

  it.each([
    { name: 'a source that is not there', args: ['--source', 'kaggle:/nowhere'], says: /\/nowhere/, code: 1 },
    { name: 'a kind of source that is not known', args: ['--source', 'kafka:x'], says: /kafka/, code: 2 },
    { name: 'a model folder that is not there', args: ['--model', '/nowhere'], says: /\/nowhere/, code: 1 },
    { name: 'a broker that is not known', args: ['--broker', 'kafka://x'], says: /kafka/, code: 2 },
  ])('ends with $code and names $name', async ({ args, says, code }) => {
    const up = startNustream(['up', '--port', '0', '--events', '1', ...args])
    expect(await up.ended).toBe(code)
    expect(up.stderr()).toMatch(says)
    expect(up.stderr()).not.toContain('    at ')
  })
})
