import { expect, it } from 'vitest'
import { renderProgress } from './progress.ts'

const cases = [
  { name: 'is empty at the start', done: 0, total: 10, seconds: 0, shown: /^░{30} 0 % {2}0\/10 {2}0\/s$/ },
  {
    name: 'tells rate and time left',
    done: 5,
    total: 10,
    seconds: 5,
    shown: /50 % {2}5\/10 {2}1\/s {2}5 s left$/,
  },
  { name: 'is full at the end', done: 10, total: 10, seconds: 2, shown: /^█{30} 100 % {2}10\/10 {2}5\/s$/ },
  { name: 'never passes the end', done: 12, total: 10, seconds: 2, shown: /^█{30} 100 %/ },
]

it.each(cases)('renderProgress() $name', ({ done, total, seconds, shown }) => {
  expect(renderProgress(done, total, seconds)).toMatch(shown)
})
