import { describe, expect, it } from 'vitest'
import { planRuns } from './plan-runs.ts'

const limits = { tokensPerRun: 100, eventsPerRun: 8, equalLengths: false }

describe('planRuns()', () => {
  it('takes events by length, and no more tokens than a run may have', () => {
    const { order, sizes } = planRuns(Int32Array.of(60, 10, 30, 40, 20), limits)
    expect([...order]).toEqual([1, 4, 2, 3, 0])
    // 3 × 30 fit into 100, 4 × 40 do not; 2 × 60 do not either.
    expect(sizes).toEqual([3, 1, 1])
  })

  it('runs an event alone that is longer than a run', () => {
    expect(planRuns(Int32Array.of(5000, 10), limits).sizes).toEqual([1, 1])
  })

  it('takes no more events than a run may have', () => {
    expect(planRuns(new Int32Array(20).fill(1), limits).sizes).toEqual([8, 8, 4])
  })

  it('keeps unequal lengths apart where the network cannot tell padding', () => {
    expect(planRuns(Int32Array.of(3, 2, 3, 2, 4), { ...limits, equalLengths: true }).sizes).toEqual([2, 2, 1])
  })

  it('plans nothing for nothing', () => {
    expect(planRuns(new Int32Array(0), limits).sizes).toEqual([])
  })
})
