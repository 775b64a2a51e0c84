import { describe, expect, it } from 'vitest'
import { createPacer } from './pacing.ts'

/** Due times of so many events on a clock that stands still. */
function dueTimes(events: number, rate: number, seed?: number): number[] {
  const pacer = createPacer(rate, () => 5_000, seed)
  return Array.from({ length: events }, () => {
    const dueMs = pacer.dueMs()
    pacer.advance()
    return dueMs
  })
}

describe('createPacer()', () => {
  it('makes independent arrivals at the mean rate', () => {
    const due = dueTimes(20_001, 3_000)
    const gaps = due.slice(1).map((ms, i) => ms - due[i])
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length)
    expect(due[0]).toBe(5_000)
    // 20,000 exponential gaps: both are known to 0.7 %.
    expect(mean / (1000 / 3_000)).toBeCloseTo(1, 1)
    expect(deviation / mean).toBeCloseTo(1, 1)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0)
  })

  it('makes the same arrivals from the same seed, others from another', () => {
    expect(dueTimes(10, 50, 7)).toEqual(dueTimes(10, 50, 7))
    expect(dueTimes(10, 50, 7)).not.toEqual(dueTimes(10, 50, 8))
  })

  it('keeps its schedule when nobody looks, and moves it when the source was idle', () => {
    let nowMs = 1_000
    const pacer = createPacer(1, () => nowMs)
    pacer.dueMs()
    nowMs = 900_000
    pacer.advance()
    expect(pacer.dueMs()).toBeLessThan(20_000)
    pacer.restart(nowMs)
    expect(pacer.dueMs()).toBe(900_000)
  })

  it('has everything due at once at the rate max', () => {
    let nowMs = 1
    const pacer = createPacer('max', () => nowMs)
    pacer.advance()
    nowMs = 2
    expect(pacer.dueMs()).toBe(2)
  })
})
