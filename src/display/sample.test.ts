import { describe, expect, it } from 'vitest'
import { makeEvents, toMessage } from '../../test/support/plain-events.ts'
import { concatEvents, UTC_UNKNOWN } from '../event/event-batch.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { buildLineFit } from '../inference/linefit/linefit.ts'
import { Join, sampleEvents } from './sample.ts'

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

  it('gives each event once, and all events of a small batch', () => {
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

  it('keeps the strongest pulse of each sensor if there are too many, and gives the total', () => {
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

  it('gives the reference apart from the truth, and none where it is not known', () => {
    const reference = {
      azimuth: Float64Array.of(4, Number.NaN),
      zenith: Float64Array.of(1.123456, Number.NaN),
    }
    const sampled = sampleEvents(toMessage('b', { ...makeEvents(2), reference }), choice(0))
    const known = sampled.map(({ eventId, truth, reference: found }) => [eventId, truth, found])
    expect(known.toSorted()).toEqual([
      ['1', null, { azimuth: 4, zenith: 1.12346 }],
      ['2', null, undefined],
    ])
  })

  it('leaves out invalid events', () => {
    const events = makeEvents(2, 1)
    events.charges[0] = Number.NaN
    expect(sampleEvents(toMessage('b', events), choice(0)).map((event) => event.eventId)).toEqual(['2'])
  })

  it('gives one event different keys in two batches, all valid in a URL', () => {
    const keys = ['a:1', 'a:2'].map((id) => sampleEvents(toMessage(id, makeEvents(1)), choice(0))[0].key)
    expect(new Set(keys).size).toBe(2)
    for (const key of keys) expect(key).toMatch(/^[\w.~-]+$/)
  })

  it('throws on bytes that do not decode to events', () => {
    const message = { ...toMessage('b', makeEvents(1)), payload: new Uint8Array([1, 2, 3]) }
    expect(() => sampleEvents(message, choice(0))).toThrow()
  })
})

function samples(batchId: string) {
  const message = toMessage(batchId, makeEvents(4, 1, { truth: true }))
  return sampleEvents(message, { pulsesMax: 100, lineFit: buildLineFit(), random: () => 0 })
}

function predictions(batchId: string): PredictionBatch {
  return {
    origin: {
      batchId,
      model: 'm',
      modelVersion: '2',
      consumer: 'c',
      emittedAtMs: 1_000.4,
      predictedAtMs: 1_250,
    },
    eventIds: BigInt64Array.of(4n, 3n, 2n, 1n),
    azimuth: Float64Array.of(0.4, 0.3, 0.2, 1),
    zenith: Float64Array.of(0.4, 0.3, 0.2, 1),
    kappa: Float64Array.of(Number.NaN, 3, 2, 12.34567),
    degenerate: Uint8Array.of(0, 0, 0, 1),
    pulses: Int32Array.of(6, 6, 6, 6),
  }
}

const stored = (batchId: string) => ({ cursor: '1', partition: 0, batchId, payload: new Uint8Array() })

describe('Join', () => {
  it('joins a sample with the prediction of the same event, once', () => {
    const join = new Join()
    join.addSample('b', samples('b'), 0)
    const drawn = join.take('b', predictions('b'))
    const event = drawn.find(({ eventId }) => eventId === '1')
    expect(event?.prediction).toEqual({
      azimuth: 1,
      zenith: 1,
      kappa: 12.35,
      degenerate: true,
      model: 'm',
      modelVersion: '2',
    })
    expect(event).toMatchObject({ truth: { azimuth: 1, zenith: 1 }, errorRad: 0, predictedAtMs: 1_250 })
    expect(JSON.stringify(event)).not.toContain('NaN')
    expect(join.take('b', predictions('b'))).toEqual([])
  })

  it('gives the time of an event if its prediction carries it', () => {
    const join = new Join()
    join.addSample('b', samples('b'), 0)
    // Of the events 4, 3, 2 and 1; 1, 2 and 3 are drawn.
    const utc = BigInt64Array.of(4_000_000n, 1_795_000_000_123_456_789n, 2_000_000n, UTC_UNKNOWN)
    const drawn = join.take('b', { ...predictions('b'), utc })
    expect(Object.fromEntries(drawn.map((event) => [event.eventId, event.utcMs]))).toEqual({
      1: undefined,
      2: 2,
      3: 1_795_000_000_123.456,
    })
  })

  it('finds predictions that arrived before the sample, among the last few', () => {
    const join = new Join()
    for (let i = 0; i < 100; i++) join.addPredictions(stored(`b${i}`))
    expect(join.addSample('b0', samples('b0'), 0)).toBeUndefined()
    expect(join.addSample('b99', samples('b99'), 0)).toEqual(stored('b99'))
  })

  it('is full at its limit, and has room again once samples have waited too long', () => {
    const join = new Join()
    const events = samples('b')
    for (let i = 0; i < 1_000 && !join.isFull(i); i++) join.addSample(`b${i}`, events, i)
    expect(join.isFull(1_000)).toBe(true)
    expect(join.isWaitingFor('b0')).toBe(true)
    expect(join.isFull(400_000)).toBe(false)
    expect(join.isWaitingFor('b0')).toBe(false)
  })

  it('gives nothing for an event that became a dead letter', () => {
    const join = new Join()
    join.addSample('b', samples('b'), 0)
    expect(join.take('b', { ...predictions('b'), eventIds: BigInt64Array.of(9n, 8n, 7n, 6n) })).toEqual([])
  })
})
