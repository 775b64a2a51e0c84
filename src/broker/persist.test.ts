import { type Logger, pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../errors.ts'
import { Persistence } from './persist.ts'

function collect(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = []
  return { lines, log: pino({}, { write: (line: string) => void lines.push(line) }) }
}

function persistence(log?: Logger): Persistence {
  const isPassing = (error: unknown) => !(error instanceof UsageError)
  return new Persistence({ log, pauseMinMs: 1, pauseMaxMs: 2, isPassing })
}

describe('keepTrying()', () => {
  it('tries until it works, with one line for many failures', async () => {
    const { log, lines } = collect()
    const one = persistence(log)
    let failures = 30
    const attempt = () => {
      if (failures-- > 0) throw new Error('away')
      return 'here'
    }
    expect(await one.keepTrying('asking', attempt, new AbortController().signal)).toBe('here')
    expect(lines.length).toBe(1)
    expect(lines[0]).toContain('"what":"asking","failures":1,"reason":"away"')
  })

  it('throws at once what does not pass', async () => {
    const attempt = () => Promise.reject(new UsageError('unauthorized', 'no'))
    const trying = persistence().keepTrying('asking', attempt, new AbortController().signal)
    await expect(trying).rejects.toMatchObject({ code: 'unauthorized' })
  })

  it('ends with the last failure as cause when aborted', async () => {
    const stop = new AbortController()
    let tries = 0
    const attempt = () => {
      if (++tries === 3) stop.abort()
      throw new Error(`failure ${tries}`)
    }
    const trying = persistence().keepTrying('asking', attempt, stop.signal)
    await expect(trying).rejects.toMatchObject({
      code: 'broker_unreachable',
      cause: { message: 'failure 3' },
    })
    expect(tries).toBe(3)
  })

  it('does not try when aborted before', async () => {
    const trying = persistence().keepTrying('asking', () => 'here', AbortSignal.abort())
    await expect(trying).rejects.toMatchObject({ code: 'broker_unreachable' })
  })
})
