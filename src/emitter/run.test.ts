import { describe, expect, it } from 'vitest'
import type { RunPosition } from '../broker/contract.ts'
import { checkRunName, toRunStart, toStepPlace, toStoredPlace } from './run.ts'

const place = { pass: 2, at: '{"in":"x"}', skip: 17 }

function stored(over: Partial<RunPosition> = {}): RunPosition {
  return {
    run: 'r',
    sequence: 9,
    resume: toStoredPlace('sim:1', place, 256),
    emitted: 2304,
    done: false,
    ...over,
  }
}

it.each([
  { name: 'x'.repeat(495), says: undefined },
  { name: 'x'.repeat(496), says: 'has 496 bytes; at most 495 are allowed' },
  { name: 'é'.repeat(248), says: 'has 496 bytes' },
  { name: '\ud800', says: 'is not UTF-8' },
  { name: '', says: 'is empty' },
])('checkRunName() judges a name of $name.length characters: $says', ({ name, says }) => {
  if (says === undefined) expect(checkRunName(name)).toBeUndefined()
  else expect(() => checkRunName(name)).toThrow(says)
})

describe('toRunStart()', () => {
  const begin = (position: RunPosition | undefined, isNamed = true, spec = 'sim:1') =>
    toRunStart(position, { run: 'r', spec, isNamed })

  it('begins, resumes, stays finished or restarts', () => {
    const beginning = { pass: 0, at: undefined, skip: 0 }
    expect(begin(undefined)).toEqual({ run: 'r', how: 'new', place: beginning, sequence: 0, emitted: 0 })
    expect(begin(stored())).toEqual({ run: 'r', how: 'resumed', place, sequence: 9, emitted: 2304 })
    expect(begin(stored({ done: true })).how).toBe('finished')
    expect(begin(stored({ done: true }), false)).toEqual({
      run: 'r',
      how: 'again',
      place: beginning,
      sequence: 9,
      emitted: 0,
    })
  })

  it('does not mix up two sources, nor a place that it does not understand', () => {
    expect(() => begin(stored(), true, 'sim:2')).toThrow(
      'run r reads sim:1, not sim:2; give this emission another name',
    )
    for (const resume of ['', '{}', '17', '{"source":"sim:1","pass":-1,"skip":0}']) {
      expect(() => begin(stored({ resume }))).toThrow('run r was not left by an emitter of this version')
    }
  })
})

describe('toStepPlace()', () => {
  const before = stored()
  const position = stored({ sequence: 10, emitted: 2400 })

  it('finds the events of a lost step between the one before it and its own end', () => {
    expect(toStepPlace({ before, position })).toEqual({ place, events: 96, chunkEvents: 256 })
  })

  it('begins at the beginning of a run and of a restarted run', () => {
    const beginning = { pass: 0, at: undefined, skip: 0 }
    const first = { place: beginning, events: 200, chunkEvents: 256 }
    expect(toStepPlace({ before: undefined, position: stored({ emitted: 200 }) })).toEqual(first)
    const ended = stored({ done: true })
    expect(toStepPlace({ before: ended, position: stored({ sequence: 10, emitted: 200 }) })).toEqual(first)
  })
})
