import { type Logger, pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../errors.ts'
import { BrokerRetry, type RetryReason } from './retry.ts'

function collect(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = []
  return { lines, log: pino({}, { write: (line: string) => void lines.push(line) }) }
}

function brokerRetry(log?: Logger, onRetry?: (reason: RetryReason) => void): BrokerRetry {
  const reasonOf = (error: unknown) => (error instanceof UsageError ? undefined : 'unreachable')
  const isNormal = (error: unknown) => error instanceof RangeError
  return new BrokerRetry({ log, firstMs: 1, capMs: 2, reasonOf, isNormal, onRetry })
}

const signal = new AbortController().signal

describe('BrokerRetry.run()', () => {
  it('tries until it works, with one line for many failures, and counts each', async () => {
    const { log, lines } = collect()
    const reasons: RetryReason[] = []
    let failures = 30
    const attempt = () => {
      if (failures-- > 0) throw new Error('away')
      return 'here'
    }
    const retry = brokerRetry(log, (reason) => reasons.push(reason))
    expect(await retry.run('asking', attempt, signal)).toBe('here')
    expect(lines.length).toBe(1)
    expect(lines[0]).toContain('"what":"asking","failures":1,"reason":"unreachable","error":"away"')
    expect(reasons).toEqual(Array(30).fill('unreachable'))
  })

  it('neither logs nor counts what is normal for a moment', async () => {
    const { log, lines } = collect()
    const reasons: RetryReason[] = []
    let failures = 3
    const attempt = () => {
      if (failures-- > 0) throw new RangeError('locked')
    }
    await brokerRetry(log, (reason) => reasons.push(reason)).run('asking', attempt, signal)
    expect([lines, reasons]).toEqual([[], []])
  })

  it('throws at once what trying again does not help', async () => {
    const attempt = () => Promise.reject(new UsageError('unauthorized', 'no'))
    await expect(brokerRetry().run('asking', attempt, signal)).rejects.toMatchObject({ code: 'unauthorized' })
  })

  it('throws such an error also when aborted meanwhile', async () => {
    const stop = new AbortController()
    const attempt = () => {
      stop.abort()
      throw new UsageError('unauthorized', 'no')
    }
    const running = brokerRetry().run('asking', attempt, stop.signal)
    await expect(running).rejects.toMatchObject({ code: 'unauthorized' })
  })

  it('ends with the last failure as cause when aborted', async () => {
    const stop = new AbortController()
    let tries = 0
    const attempt = () => {
      if (++tries === 3) stop.abort()
      throw new Error(`failure ${tries}`)
    }
    await expect(brokerRetry().run('asking', attempt, stop.signal)).rejects.toMatchObject({
      code: 'broker_unreachable',
      cause: { message: 'failure 3' },
    })
    expect(tries).toBe(3)
  })

  it('does not try when aborted before', async () => {
    let tries = 0
    const running = brokerRetry().run('asking', () => tries++, AbortSignal.abort())
    await expect(running).rejects.toMatchObject({ code: 'broker_unreachable' })
    expect(tries).toBe(0)
  })
})
