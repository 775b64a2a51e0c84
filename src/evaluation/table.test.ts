import { expect, it } from 'vitest'
import { renderTable } from './table.ts'

it('renderTable() aligns numbers to the right and words to the left', () => {
  const table = renderTable([
    ['name', 'events', 'reason'],
    ['a', '5', 'x'],
    ['longer', '12', 'yy'],
  ])
  expect(table.split('\n')).toEqual([
    'name    events  reason',
    '──────  ──────  ──────',
    'a            5  x',
    'longer      12  yy',
  ])
})
