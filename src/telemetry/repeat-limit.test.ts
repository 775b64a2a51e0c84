import { expect, it } from 'vitest'
import { createRepeatLimit } from './repeat-limit.ts'

it('createRepeatLimit() writes the first, counts the rest, and says how many at the next line', () => {
  let now = 0
  const lines: string[] = []
  const limit = createRepeatLimit(10_000, () => now)
  const fail = (key: string) => limit(key, (repeats) => lines.push(`${key} ${repeats}`))
  fail('a')
  fail('a')
  fail('b')
  now = 9_999
  fail('a')
  now = 10_000
  fail('a')
  fail('b')
  expect(lines).toEqual(['a 0', 'b 0', 'a 2', 'b 0'])
})
