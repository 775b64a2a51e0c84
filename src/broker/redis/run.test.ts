import { describe, expect, it } from 'vitest'
import type { RunPosition } from '../contract.ts'
import { RunTrail, type Trailing } from './run.ts'

function at(sequence: number, over: Partial<RunPosition> = {}): RunPosition {
  return { run: 'r', sequence, resume: `after ${sequence}`, emitted: sequence * 4, done: false, ...over }
}

/** The positions that the partitions hold after an emitter stored the steps 1 to `last`. */
function stored(last: number, partitions: number, resume = (sequence: number) => `after ${sequence}`) {
  const trail = new RunTrail(partitions)
  const held: (RunPosition & Trailing)[] = []
  for (let sequence = 1; sequence <= last; sequence++) {
    const position = at(sequence, { resume: resume(sequence) })
    held[sequence % partitions] = { ...position, ...trail.before(sequence) }
    trail.add(position)
  }
  return held
}

/** What a new emitter finds lost. */
function lostOf(held: readonly (RunPosition & Trailing)[], partitions: number) {
  const trail = new RunTrail(partitions)
  trail.read(held.filter(Boolean))
  const [last] = held.filter(Boolean).toSorted((a, b) => b.sequence - a.sequence)
  const standing = Array.from({ length: partitions }, (_, p) => held[p]?.sequence)
  return trail.lost(standing, last).map(({ before, position }) => [before?.sequence, position.sequence])
}

describe('RunTrail', () => {
  it('misses nothing where nothing is lost, at any length of a run', () => {
    for (const partitions of [1, 2, 3, 8])
      for (const last of [1, 2, 3, 7, 100]) expect(lostOf(stored(last, partitions), partitions)).toEqual([])
  })

  it('finds the steps that one partition has lost, and where each began', () => {
    const held = stored(101, 3)
    held[1] = stored(94, 3)[1]
    expect(held[1].sequence).toBe(94)
    expect(lostOf(held, 3)).toEqual([
      [96, 97],
      [99, 100],
    ])
  })

  it('finds what several have lost, in order, from the beginning of the run too', () => {
    const held = stored(5, 3)
    delete held[1]
    held[0] = stored(2, 3)[0]
    expect(lostOf(held, 3)).toEqual([
      [undefined, 1],
      [2, 3],
      [3, 4],
    ])
  })

  it('does not take the last steps of all for lost: the run simply stands before them', () => {
    expect(lostOf(stored(98, 3), 3)).toEqual([])
  })

  it('knows no step that was spread over another number of partitions', () => {
    const [old] = stored(50, 1)
    const trail = new RunTrail(3)
    trail.read([old])
    const next = { ...at(51), ...trail.before(51) }
    expect(next).toMatchObject({ since: 51, partitions: 3 })
    expect(lostOf([next], 3)).toEqual([])
    const later = [{ ...at(54), ...trail.before(54) }]
    trail.add(at(51))
    trail.add(at(52))
    trail.add(at(53))
    const last = { ...at(54), ...trail.before(54) }
    expect(lostOf([last], 3)).toEqual([
      [51, 52],
      [52, 53],
    ])
    expect(later[0].trail).toEqual([])
  })

  it('reports if it does not reach back far enough', () => {
    const held = stored(400, 3)
    held[1] = stored(10, 3)[1]
    expect(() => lostOf(held, 3)).toThrow(expect.objectContaining({ code: 'run_lost' }))
    // Long places leave room for fewer steps.
    const long = (sequence: number) => `${sequence}`.padEnd(20_000, '.')
    expect(stored(30, 3, long)[0].trail.length).toBe(1)
  })

  it('holds 64 steps, or two for each partition where that is more, and 32 KiB of positions at most', () => {
    expect(stored(200, 3)[0].trail.length).toBe(64)
    expect(stored(200, 32)[0].trail.length).toBe(64)
    expect(stored(200, 33)[0].trail.length).toBe(66)
    const long = (characters: number) => stored(60, 3, () => '.'.repeat(characters))[0].trail.length
    expect(long(1024)).toBe(32)
    expect(long(1025)).toBe(31)
  })

  it('holds nothing in a single partition', () => {
    expect(stored(30, 1)[0].trail).toEqual([])
  })
})
