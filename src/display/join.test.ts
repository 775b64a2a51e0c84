import { describe, expect, it } from 'vitest'
import { makeEvents, toMessage } from '../../test/support/plain-events.ts'
import { UTC_UNKNOWN } from '../event/event-batch.ts'
import type { PredictionBatch } from '../event/prediction-batch.ts'
import { buildLineFit } from '../inference/linefit/linefit.ts'
import { Join } from './join.ts'
import { sampleEvents } from './sample.ts'

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
  it('puts the prediction of the same event to a sample, once', () => {
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

  it('says when an event happened where its prediction does', () => {
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

  it('finds predictions that came before the sample, among the last few', () => {
    const join = new Join()
    for (let i = 0; i < 100; i++) join.addPredictions(stored(`b${i}`))
    expect(join.addSample('b0', samples('b0'), 0)).toBeUndefined()
    expect(join.addSample('b99', samples('b99'), 0)).toEqual(stored('b99'))
  })

  it('is full at its bound, and has room again when samples were waited for too long', () => {
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
