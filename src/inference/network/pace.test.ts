import { describe, expect, it } from 'vitest'
import { Pace } from './pace.ts'

const open = (deadlineMs = 8_000) => new Pace({ deadlineMs, roomMin: 4, roomMax: 100 })
const window = { startedMs: 0, isBusy: true }

describe('Pace', () => {
  it('begins with the smallest room if there is a deadline, otherwise with the largest', () => {
    expect(open().room).toBe(4)
    const endless = open(Number.POSITIVE_INFINITY)
    expect(endless.room).toBe(100)
    endless.learn({ ...window, events: 0, room: 100, endedMs: 10 })
    expect(endless.room).toBe(100)
  })

  it('doubles the room while what was in hand ended in time, up to the largest room', () => {
    const pace = open()
    const rooms = Array.from({ length: 6 }, () => {
      pace.learn({ ...window, events: pace.room, room: pace.room, endedMs: 100, isBusy: false })
      return pace.room
    })
    expect(rooms).toEqual([8, 16, 32, 64, 100, 100])
  })

  it('gives no more room than for what would end in an eighth of the deadline', () => {
    const pace = open()
    // One event in 160 ms: six in a second.
    pace.learn({ ...window, events: 1, room: 4, endedMs: 160 })
    expect(pace.room).toBe(6)
  })

  it('gives no more room for a window without waiting requests', () => {
    const pace = open()
    pace.learn({ ...window, events: 0, room: 4, endedMs: 1 })
    expect(pace.room).toBe(4)
  })

  it('keeps what is in hand within an eighth of the deadline', () => {
    const pace = open()
    for (let i = 0; i < 5; i++) pace.learn({ ...window, events: 96, room: 4, endedMs: 10 })
    expect(pace.room).toBe(100)
    pace.learn({ ...window, events: 100, room: 100, endedMs: 2000 })
    expect(pace.room).toBe(50)
    pace.learn({ ...window, events: 50, room: 50, endedMs: 100_000 })
    expect(pace.room).toBe(4)
  })

  it('does not know how long events take before workers were busy', () => {
    const pace = open()
    pace.learn({ ...window, events: 10, room: 4, endedMs: 1000, isBusy: false })
    expect(pace.secondsFor(100)).toBe(0)
  })

  it('takes the time between the ends of two windows for the time that one takes', () => {
    const pace = open()
    pace.learn({ ...window, events: 10, room: 4, endedMs: 1000 })
    expect(pace.secondsFor(100)).toBeCloseTo(10)
    // Begun together with the first, ended half a second after it: 20 events a second.
    pace.learn({ ...window, events: 10, room: 4, endedMs: 1500 })
    expect(pace.secondsFor(100)).toBeCloseTo(100 / (0.9 * 10 + 0.1 * 20))
  })

  it('does not count the time without work', () => {
    const pace = open()
    pace.learn({ ...window, events: 10, room: 4, endedMs: 1000 })
    pace.learn({ ...window, startedMs: 9000, events: 10, room: 4, endedMs: 10_000 })
    expect(pace.secondsFor(100)).toBeCloseTo(10)
  })
})
