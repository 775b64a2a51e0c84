import { expect, it } from 'vitest'
import { ReadBudget } from './watch.ts'

it('ReadBudget allows a burst, then a fixed rate, and another burst after a pause', () => {
  const budget = new ReadBudget(10, 30)
  const takenAt = (nowMs: number) =>
    Array.from({ length: 100 }, () => budget.take(nowMs)).filter(Boolean).length
  expect(takenAt(0)).toBe(30)
  expect(takenAt(500)).toBe(5)
  expect(takenAt(60_000)).toBe(30)
})
