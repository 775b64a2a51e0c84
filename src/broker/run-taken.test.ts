import { describe, expect, it } from 'vitest'
import { checkRunStep, type RunRecord } from './run-taken.ts'

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
