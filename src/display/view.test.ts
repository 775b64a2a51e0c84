import { describe, expect, it } from 'vitest'
import { drawnEvent } from '../../test/support/drawn-event.ts'
import { EventWindow, Newest, toSkyPoints } from './view.ts'

describe('EventWindow', () => {
  it('holds the newest events up to its bound, in order, without pulses in its rows', () => {
    const window = new EventWindow(3)
    for (let i = 0; i < 10; i++) window.add(drawnEvent(`${i}`))
    expect(window.rows().map((row) => row.eventId)).toEqual(['7', '8', '9'])
    expect(window.rows()[0]).not.toHaveProperty('pulses')
    expect(window.get('6~b')).toBeUndefined()
    expect(window.newest?.eventId).toBe('9')
  })

  it('opens an event by key, and by event id the newest of that id', () => {
    const window = new EventWindow(9)
    for (const batchId of ['b1', 'b2']) window.add(drawnEvent('5', batchId))
    expect(window.get('5~b1')?.batchId).toBe('b1')
    expect(window.get('5')?.batchId).toBe('b2')
  })

  it('holds a repeated event once, as the newest', () => {
    const window = new EventWindow(2)
    for (const id of ['1', '2', '1']) window.add(drawnEvent(id))
    expect(window.rows().map((row) => row.eventId)).toEqual(['2', '1'])
  })
})

describe('Newest', () => {
  it('never holds more than twice its limit, and shows up to its limit', () => {
    const newest = new Newest<number>(3)
    for (let i = 0; i < 100; i++) newest.add(i)
    expect(newest.all()).toEqual([97, 98, 99])
    expect(newest.take()).toEqual([97, 98, 99])
    expect(newest.all()).toEqual([])
  })
})

describe('toSkyPoints()', () => {
  it('gives columns of equal length', () => {
    const point = { azimuth: 1, zenith: 2, kappa: null, predictedAtMs: 3, key: 'k' }
    expect(toSkyPoints([point, { ...point, azimuth: 4 }])).toEqual({
      azimuth: [1, 4],
      zenith: [2, 2],
      kappa: [null, null],
      predictedAtMs: [3, 3],
      key: ['k', 'k'],
    })
  })

  it('carries UTC only if all points have it', () => {
    const timed = { azimuth: 1, zenith: 2, kappa: null, predictedAtMs: 3, key: null, utcMs: 5 }
    const { utcMs: _, ...untimed } = timed
    expect(toSkyPoints([timed, timed]).utcMs).toEqual([5, 5])
    expect(toSkyPoints([timed, untimed])).not.toHaveProperty('utcMs')
    expect(toSkyPoints([])).not.toHaveProperty('utcMs')
  })
})
