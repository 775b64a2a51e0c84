import { describe, expect, it } from 'vitest'
import { renderAccount, toAccount } from './account.ts'

const input = {
  totals: { emitted: 100, predicted: 97, deadLettered: 3 },
  predictedHere: 97,
  seconds: 2,
  latencyMs: { p50: 12.345, p99: undefined },
  meanAngularErrorRad: 1.2,
  model: { name: 'linefit', version: '1' },
  source: 'sim:1',
}

describe('toAccount()', () => {
  it('counts every event and writes what is unknown as null', () => {
    expect(toAccount(input)).toMatchObject({
      emitted: 100,
      predicted: 97,
      deadLettered: 3,
      eventsPerSecond: 48.5,
      latencyMs: { p50: 12.3, p99: null },
      meanAngularErrorRad: 1.2,
      model: 'linefit',
    })
  })

  it('never writes NaN, which JSON does not have', () => {
    const account = toAccount({ ...input, meanAngularErrorRad: Number.NaN, seconds: 0 })
    expect(JSON.parse(JSON.stringify(account))).toEqual(account)
  })
})

describe('renderAccount()', () => {
  it('says what is still waiting only when something is', () => {
    expect(renderAccount(toAccount(input))).not.toContain('still waiting')
    const waiting = { ...input, totals: { emitted: 101, predicted: 97, deadLettered: 3 } }
    expect(renderAccount(toAccount(waiting))).toContain('still waiting  1')
  })
})
