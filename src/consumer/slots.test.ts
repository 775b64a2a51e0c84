import { expect, it } from 'vitest'
import { createSlots } from './slots.ts'

const NEVER = new AbortController().signal

/** Work that ends when told, and a diary of who began. */
function stage() {
  const began: string[] = []
  const ends = new Map<string, () => void>()
  const work = (name: string) => () => {
    began.push(name)
    return new Promise<void>((resolve) => ends.set(name, resolve))
  }
  const end = async (name: string) => {
    ends.get(name)?.()
    await new Promise(setImmediate)
  }
  return { began, work, end }
}

it('one() runs as many at once as there are slots, in the order asked for', async () => {
  const { began, work, end } = stage()
  const slots = createSlots(2)
  for (const name of ['a', 'b', 'c', 'd']) void slots.one(work(name), NEVER)
  await end('')
  expect(began).toEqual(['a', 'b'])
  await end('b')
  expect(began).toEqual(['a', 'b', 'c'])
})

it('all() waits until nothing runs, and nothing that came later runs beside it', async () => {
  const { began, work, end } = stage()
  const slots = createSlots(2)
  void slots.one(work('a'), NEVER)
  void slots.all(work('alone'), NEVER)
  void slots.one(work('b'), NEVER)
  await end('')
  expect(began).toEqual(['a'])
  await end('a')
  expect(began).toEqual(['a', 'alone'])
  await end('alone')
  expect(began).toEqual(['a', 'alone', 'b'])
})

it('a failure gives its slot back', async () => {
  const slots = createSlots(1)
  await expect(slots.one(() => Promise.reject(new Error('no')), NEVER)).rejects.toThrow('no')
  expect(await slots.one(async () => 7, NEVER)).toBe(7)
})

it('a wait ends with its signal, and those behind move up', async () => {
  const { began, work, end } = stage()
  const slots = createSlots(2)
  const stop = new AbortController()
  void slots.one(work('a'), NEVER)
  const given = slots.all(work('never'), stop.signal)
  void slots.one(work('b'), NEVER)
  stop.abort(new Error('stopping'))
  await expect(given).rejects.toThrow('stopping')
  await end('')
  expect(began).toEqual(['a', 'b'])
})
