import { expect, it } from 'vitest'
import { nextWithin } from './next-within.ts'

const NEVER = new AbortController().signal

it('nextWithin() gives items, then says that they ended', async () => {
  const next = nextWithin(
    (async function* () {
      yield 'a'
      yield 'b'
    })(),
  )
  expect([await next(1_000, NEVER), await next(1_000, NEVER), await next(1_000, NEVER)]).toEqual([
    'a',
    'b',
    'ended',
  ])
})

it('nextWithin() loses no item that came late', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const next = nextWithin(
    (async function* () {
      yield await promise
    })(),
  )
  expect(await next(5, NEVER)).toBe('late')
  resolve('a')
  expect(await next(1_000, NEVER)).toBe('a')
})

it('nextWithin() ends a wait when its signal aborts', async () => {
  const stop = new AbortController()
  const next = nextWithin(
    (async function* () {
      yield await new Promise<string>(() => {})
    })(),
  )
  const waiting = next(100_000, stop.signal)
  stop.abort()
  expect(await waiting).toBe('late')
})
