import { expect, it } from 'vitest'
import { ConsumeTally } from './report.ts'

const BATCH = { predicted: 10, deadLettered: 1, degenerate: 2, latencyMs: 100, angularErrors: undefined }

it('ConsumeTally adds up batches', () => {
  const tally = new ConsumeTally()
  tally.start()
  tally.addSettled({ ...BATCH, angularErrors: Float64Array.of(1, Number.NaN, 2) })
  tally.addSettled({ ...BATCH, latencyMs: undefined })
  tally.addRepeat(10)
  expect(tally.report()).toMatchObject({
    predicted: 20,
    deadLettered: 2,
    degenerate: 4,
    repeated: 10,
    batches: 2,
    withTruth: 2,
    meanAngularErrorRad: 1.5,
  })
})

it('ConsumeTally weighs latency by events', () => {
  const tally = new ConsumeTally()
  tally.addSettled({ ...BATCH, predicted: 990 })
  tally.addSettled({ ...BATCH, predicted: 10, latencyMs: 5_000 })
  const { p50, p99 } = tally.report().latencyMs
  expect(p50 / 100).toBeCloseTo(1, 1)
  expect(p99 / 100).toBeCloseTo(1, 1)
})

it('ConsumeTally without events reports NaN', () => {
  const report = new ConsumeTally().report()
  expect(report.meanAngularErrorRad).toBeNaN()
  expect(report.latencyMs.p99).toBeNaN()
  expect(report.eventsPerSecond).toBe(0)
})
