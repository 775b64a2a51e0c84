import { expect, it } from 'vitest'
import { createBackoff } from './backoff.ts'

it('createBackoff() doubles up to its cap', () => {
  const backoff = createBackoff({ firstMs: 100, capMs: 500, random: () => 1 })
  expect([1, 2, 3, 4, 5].map(() => backoff.nextMs())).toEqual([100, 200, 400, 500, 500])
})

it('createBackoff() shortens pauses at random by at most half', () => {
  const backoff = createBackoff({ firstMs: 100, random: () => 0 })
  expect(backoff.nextMs()).toBe(50)
})

it.each([
  { name: 'waits as long as it was asked to', asked: 3, pauseMs: 3_000 },
  { name: 'does not come earlier than it would by itself', asked: 0.001, pauseMs: 50 },
  { name: 'lets nobody make it wait for an hour', asked: 3_600, pauseMs: 60_000 },
])('createBackoff() $name', ({ asked, pauseMs }) => {
  expect(createBackoff({ firstMs: 100, random: () => 0 }).nextMs(asked)).toBe(pauseMs)
})
