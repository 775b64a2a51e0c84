import { describe, expect, it } from 'vitest'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { Figures } from './figures.ts'

const NO_BACKLOG = { unreadBatches: 0, leasedBatches: 0, events: 0, oldestAgeMs: 0 }
const totals = (emitted: number, predicted: number, deadLettered = 0) => ({
  emitted,
  predicted,
  deadLettered,
})

function predictions(latencyMs: number, events: number, truthAt?: number): PredictionBatch {
  const directions = (value: number) => ({
    azimuth: new Float64Array(events).fill(value),
    zenith: new Float64Array(events).fill(Math.PI / 2),
  })
  return {
    origin: {
      batchId: 'b',
      model: 'm',
      modelVersion: '1',
      consumer: 'c',
      emittedAtMs: 10_000,
      predictedAtMs: 10_000 + latencyMs,
    },
    eventIds: new BigInt64Array(events),
    ...directions(0),
    kappa: new Float64Array(events),
    degenerate: new Uint8Array(events),
    pulses: new Int32Array(events),
    ...(truthAt !== undefined && { truth: directions(truthAt) }),
  }
}

describe('Figures', () => {
  it('gives rates between two strips, and an account that adds up', () => {
    const figures = new Figures(0)
    expect(figures.strip(totals(100, 80, 5), NO_BACKLOG, 1_000).eventsPerSecond).toBe(0)
    const strip = figures.strip(totals(4_100, 3_070, 15), NO_BACKLOG, 2_000)
    expect(strip).toMatchObject({ eventsPerSecond: 3_000, emittedPerSecond: 4_000 })
    expect(strip.account).toEqual({ emitted: 4_100, predicted: 3_070, deadLettered: 15, waiting: 1_015 })
  })

  it('gives quantiles of latency over events, not over batches', () => {
    const figures = new Figures(0)
    figures.add(predictions(900, 5), 1_000)
    for (let i = 0; i < 9; i++) figures.add(predictions(100, 100), 1_000)
    expect(figures.strip(totals(0, 0), NO_BACKLOG, 1_500).latencyMs).toEqual({ p50: 100, p99: 100 })
    for (let i = 0; i < 9; i++) figures.add(predictions(900, 5), 1_000)
    expect(figures.strip(totals(0, 0), NO_BACKLOG, 1_500).latencyMs).toEqual({ p50: 100, p99: 900 })
  })

  it('gives the mean error of events with truth, of the last ten seconds and of all', () => {
    const figures = new Figures(0)
    figures.add(predictions(10, 30, 1), 1_000)
    figures.add(predictions(10, 10, 0.2), 9_000)
    figures.add(predictions(10, 1_000), 9_000)
    expect(figures.strip(totals(0, 0), NO_BACKLOG, 10_000).meanAngularErrorRad).toBeCloseTo(0.8, 5)
    const late = figures.strip(totals(0, 0), NO_BACKLOG, 12_000)
    expect(late.meanAngularErrorRad).toBeCloseTo(0.2, 5)
    expect(late.watched).toMatchObject({ predictions: 1_040, skippedBatches: 0 })
    expect(late.watched.meanAngularErrorRad).toBeCloseTo(0.8, 5)
    expect(figures.strip(totals(0, 0), NO_BACKLOG, 60_000)).toMatchObject({
      latencyMs: null,
      meanAngularErrorRad: null,
    })
  })

  it('excludes predictions made before it began', () => {
    const figures = new Figures(20_000)
    figures.add(predictions(10, 30, 1), 20_500)
    expect(figures.strip(totals(0, 0), NO_BACKLOG, 21_000)).toMatchObject({
      latencyMs: null,
      watched: { predictions: 0, latencyMs: null },
    })
  })
})
