import { describe, expect, it } from 'vitest'
import { readAhead } from './read-ahead.ts'

const NEVER = new AbortController().signal

async function* letters(gate: Promise<void> = Promise.resolve()) {
  await gate
  yield 'a'
  yield 'b'
}

describe('readAhead()', () => {
  it('gives items in order, then the end, again and again', async () => {
    await using items = readAhead(letters())
    const seen: unknown[] = []
    for (let i = 0; i < 4; i++) seen.push(await items.next(NEVER, 1_000))
    expect(seen).toEqual([{ value: 'a' }, { value: 'b' }, 'end', 'end'])
  })

  it('loses no item that comes after its deadline', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    await using items = readAhead(letters(promise))
    expect(await items.next(NEVER, 5)).toBe('late')
    resolve()
    expect(await items.next(NEVER)).toEqual({ value: 'a' })
  })

  it('ends a wait with the reason of the signal and keeps the item for the next', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    await using items = readAhead(letters(promise))
    const stop = new AbortController()
    const waiting = items.next(stop.signal)
    stop.abort(new Error('stop'))
    await expect(waiting).rejects.toThrow('stop')
    resolve()
    expect(await items.next(NEVER, 1_000)).toEqual({ value: 'a' })
  })

  it('throws what the iterable throws, after what came before it', async () => {
    async function* broken() {
      yield 'a'
      throw new Error('a broken page')
    }
    await using items = readAhead(broken())
    expect(await items.next(NEVER)).toEqual({ value: 'a' })
    await expect(items.next(NEVER)).rejects.toThrow('a broken page')
  })
})
