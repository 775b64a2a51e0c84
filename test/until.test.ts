import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { freePort } from './support/free-port.ts'
import { isUnreachable, until } from './support/until.ts'

describe('until()', () => {
  it('returns the first truthy value', async () => {
    let tries = 0
    expect(await until(() => ++tries === 3 && 'third', { everyMs: 1 })).toBe('third')
    expect(tries).toBe(3)
  })

  it.each([
    ['thrown', () => expect.unreachable('the server ended')],
    ['rejected', async () => expect.unreachable('the server ended')],
  ])('ends at once with an error that is %s', async (_, condition) => {
    const startedAt = performance.now()
    await expect(until(condition, { withinMs: 60_000 })).rejects.toThrow('the server ended')
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('continues after an error that means "not yet", and names the last one as the cause', async () => {
    const port = await freePort()
    const ask = async () => (await fetch(`http://127.0.0.1:${port}`)).ok
    const waiting = until(ask, { withinMs: 50, what: 'an answer', notYet: isUnreachable })
    await expect(waiting).rejects.toMatchObject({
      message: 'an answer did not come within 50 ms',
      cause: expect.any(TypeError),
    })
  })

  it('ends with the reason of the signal', async () => {
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(until(() => false, { signal })).rejects.toThrow('stopped')
  })
})

describe('isUnreachable()', () => {
  it('is true for a connection that is refused or broken', async () => {
    const refused = await fetch(`http://127.0.0.1:${await freePort()}`).catch((error: unknown) => error)
    expect(isUnreachable(refused)).toBe(true)
    await using server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the server has no port')
    const broken = await fetch(`http://127.0.0.1:${address.port}`).catch((error: unknown) => error)
    expect(isUnreachable(broken)).toBe(true)
  })

  it('is false for any other error', () => {
    expect(isUnreachable(new Error('the server ended', { cause: new TypeError('x') }))).toBe(false)
    expect(isUnreachable('ECONNREFUSED')).toBe(false)
  })
})
