import { describe, expect, it } from 'vitest'
import { makeEvents, toMessage } from '../../test/support/plain-events.ts'
import { concatEvents } from '../event/select.ts'
import { buildLineFit } from '../inference/linefit/linefit.ts'
import { sampleEvents } from './sample.ts'

const choice = (random: number, pulsesMax = 1_500) => ({
  pulsesMax,
  lineFit: buildLineFit(),
  random: () => random,
})

const mixed = concatEvents([
  makeEvents(3, 1, { truth: true, pulsesPerEvent: 8 }),
  makeEvents(1, 77, { truth: true, pulsesPerEvent: 90 }),
  makeEvents(3, 100, { truth: true, pulsesPerEvent: 8 }),
])

describe('sampleEvents()', () => {
  it('gives two events at random and last the one with the most pulses', () => {
    const sampled = sampleEvents(toMessage('b', mixed), choice(0.999))
    expect(sampled.map((event) => event.eventId)).toEqual(['102', '101', '77'])
  })

  it('gives each event once, and all of a batch that has few', () => {
    for (const [events, ids] of [
      [1, ['1']],
      [2, ['2', '1']],
      [3, ['2', '3', '1']],
    ] as const) {
      const sampled = sampleEvents(toMessage('b', makeEvents(events)), choice(0))
      expect(sampled.map((event) => event.eventId)).toEqual(ids)
    }
  })

  it('gives pulses in order of time with the values of the event', () => {
    const [event] = sampleEvents(toMessage('b', makeEvents(1, 5, { truth: true })), choice(0))
    expect(event.pulsesTotal).toBe(6)
    expect(event.pulses.timesNs).toEqual([...event.pulses.timesNs].sort((a, b) => a - b))
    const { times, charges, sensorIds } = makeEvents(1, 5)
    expect(event.pulses.timesNs.toSorted()).toEqual([...times].toSorted())
    const first = times.indexOf(event.pulses.timesNs[0])
    expect(event.pulses.sensorIds[0]).toBe(sensorIds[first])
    expect(event.pulses.charges[0]).toBeCloseTo(charges[first], 3)
    expect(event.truth).toEqual({ azimuth: 5, zenith: 2 })
  })

  it('keeps the strongest pulse of each sensor where there are too many, and says how many there are', () => {
    const events = makeEvents(1, 5, { pulsesPerEvent: 1_000 })
    for (const row of events.sensorIds.keys()) {
      events.sensorIds[row] = row < 900 ? 7 : 8 + (row % 10)
      events.charges[row] = row < 900 ? 50 : 1
      events.auxiliary[row] = 0
    }
    const [event] = sampleEvents(toMessage('b', events), choice(0, 100))
    expect(event.pulsesTotal).toBe(1_000)
    expect(event.pulses.sensorIds).toHaveLength(100)
    expect(new Set(event.pulses.sensorIds).size).toBe(11)
    expect(event.chargeTotal).toBe(900 * 50 + 100)
  })

  it('leaves out events that are faulty', () => {
    const events = makeEvents(2, 1)
    events.charges[0] = Number.NaN
    expect(sampleEvents(toMessage('b', events), choice(0)).map((event) => event.eventId)).toEqual(['2'])
  })

  it('gives keys that differ for the same event in two batches, and fit into a URL', () => {
    const keys = ['a:1', 'a:2'].map((id) => sampleEvents(toMessage(id, makeEvents(1)), choice(0))[0].key)
    expect(new Set(keys).size).toBe(2)
    for (const key of keys) expect(key).toMatch(/^[\w.~-]+$/)
  })

  it('throws on bytes that are no events', () => {
    const message = { ...toMessage('b', makeEvents(1)), payload: new Uint8Array([1, 2, 3]) }
    expect(() => sampleEvents(message, choice(0))).toThrow()
  })
})
