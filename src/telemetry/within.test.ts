import { expect, it } from 'vitest'
import { OutOfTime, within } from './within.ts'

it('within() gives what the work gives', async () => {
  expect(await within(async () => 7, 1_000)).toBe(7)
})

it('within() gives up at its limit', async () => {
  await expect(within(() => new Promise(() => {}), 10)).rejects.toThrow(OutOfTime)
})

it('within() gives up with its signal, before and during the work', async () => {
  const stop = new AbortController()
  const work = within(() => new Promise(() => {}), 10_000, stop.signal)
  stop.abort(new Error('stopping'))
  await expect(work).rejects.toThrow('stopping')
  await expect(within(async () => 7, 10_000, stop.signal)).rejects.toThrow('stopping')
})
