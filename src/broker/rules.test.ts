import { describe, expect, it } from 'vitest'
import { checkRunStep, isAlive, partitionOf, type RunRecord, toErrorCode } from './rules.ts'

const stored: RunRecord = { sequence: 5, publisher: 'me', batchId: 'b5' }

describe('checkRunStep()', () => {
  const cases = [
    { name: 'takes the first step of a run', stored: undefined, sequence: 1, verdict: 'new' },
    { name: 'takes the next step', stored, sequence: 6, verdict: 'new' },
    { name: 'takes the next step from a successor', stored, sequence: 6, publisher: 'heir', verdict: 'new' },
    { name: 'knows its own last step', stored, sequence: 5, verdict: 'repeat' },
    { name: 'knows an older step of its own', stored, sequence: 2, hasPublished: true, verdict: 'repeat' },
    {
      name: 'knows the last step of a dead predecessor',
      stored,
      sequence: 5,
      publisher: 'heir',
      verdict: 'repeat',
    },
    { name: 'refuses a gap', stored, sequence: 7, verdict: 'run_taken' },
    {
      name: 'accepts an older step of a predecessor',
      stored,
      sequence: 4,
      publisher: 'heir',
      verdict: 'repeat',
    },
    { name: 'refuses to begin in the middle', stored: undefined, sequence: 2, verdict: 'run_taken' },
    {
      name: 'refuses another batch under the same number',
      stored,
      sequence: 5,
      publisher: 'other',
      batchId: 'other',
      verdict: 'run_taken',
    },
    {
      name: 'refuses a step that another emitter took while this one lived',
      stored,
      sequence: 5,
      publisher: 'other',
      hasPublished: true,
      verdict: 'run_taken',
    },
  ]
  it.each(cases)(
    '$name',
    ({ stored, sequence, publisher = 'me', batchId, hasPublished = false, verdict }) => {
      const step = { run: 'r', sequence, publisher, batchId: batchId ?? `b${sequence}`, hasPublished }
      const check = () => checkRunStep(stored, step)
      if (verdict === 'run_taken') expect(check).toThrow(expect.objectContaining({ code: 'run_taken' }))
      else expect(check()).toBe(verdict)
    },
  )
})

it('partitionOf() follows the sequence, else the batch id, and stays within range', () => {
  expect([1, 2, 3, 4].map((sequence) => partitionOf('b', sequence, 3))).toEqual([1, 2, 0, 1])
  const byId = Array.from({ length: 300 }, (_, i) => partitionOf(`batch ${i}`, undefined, 3))
  expect(byId).toEqual(Array.from({ length: 300 }, (_, i) => partitionOf(`batch ${i}`, undefined, 3)))
  for (const partition of [0, 1, 2]) expect(byId.filter((p) => p === partition).length).toBeGreaterThan(50)
  expect(partitionOf('', undefined, 1)).toBe(0)
})

it('isAlive() bears three missed beats, and not a millisecond more', () => {
  expect([isAlive(15_000, 5_000), isAlive(15_001, 5_000)]).toEqual([true, false])
})

it('toErrorCode() turns a code of another version into the least specific one', () => {
  expect([toErrorCode('charge_not_finite'), toErrorCode('new_code'), toErrorCode(undefined)]).toEqual([
    'charge_not_finite',
    'wire_unreadable',
    'wire_unreadable',
  ])
})
