import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkEvents } from '../event/check.ts'
import { angularDistance } from '../event/direction.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import { type ComparisonRow, compareWithPublished } from '../validation/comparison.ts'
import { fitLine, hardRows } from '../validation/line-fits.ts'
import { EventStatistics } from '../validation/statistics.ts'
import { Simulator, simulateEvents } from './simulate.ts'

function digest(batch: EventBatch): string {
  const hash = createHash('sha256')
  const { eventIds, offsets, sensorIds, times, charges, auxiliary, truth } = batch
  for (const column of [eventIds, offsets, sensorIds, times, charges, auxiliary]) hash.update(column)
  if (truth) hash.update(truth.azimuth).update(truth.zenith)
  return hash.digest('hex').slice(0, 16)
}

describe('simulateEvents()', () => {
  it('gives the same events for the same seed, today as when this was written', () => {
    expect(digest(simulateEvents(42, 0, 50))).toBe('0202d73d329578f0')
  })

  it('gives other events for another seed', () => {
    expect(digest(simulateEvents(43, 0, 5))).not.toBe(digest(simulateEvents(42, 0, 5)))
  })

  it('goes on anywhere: events are the same whatever was simulated before them', () => {
    const simulator = new Simulator(42)
    simulator.simulate(0, 33)
    expect(digest(simulateEvents(42, 33, 10))).toBe(digest(simulator.simulate(33, 10)))
  })

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('refuses the seed %d', (seed) => {
    expect(() => simulateEvents(seed, 0, 1)).toThrow(`seed ${seed} is not a whole number`)
  })

  it('makes no event where none is asked for', () => {
    expect(eventCount(simulateEvents(1, 5, 0))).toBe(0)
  })
})

describe('simulated events', () => {
  const statistics = new EventStatistics()
  let batch: EventBatch
  let rows: Map<string, ComparisonRow>

  beforeAll(() => {
    batch = simulateEvents(2026, 0, 3000)
    statistics.add(batch)
    rows = new Map(compareWithPublished(statistics).map((row) => [row.quantity, row]))
  }, 60_000)

  it('have the form of events, ids that are their indices, and a truth', () => {
    expect(checkEvents(batch)).toEqual([])
    expect(batch.eventIds[17]).toBe(17n)
    for (let event = 0; event < eventCount(batch); event++) {
      const { azimuth, zenith } = { azimuth: batch.truth?.azimuth[event], zenith: batch.truth?.zenith[event] }
      expect(azimuth).toBeGreaterThanOrEqual(0)
      expect(azimuth).toBeLessThan(2 * Math.PI)
      expect(zenith).toBeGreaterThanOrEqual(0)
      expect(zenith).toBeLessThanOrEqual(Math.PI)
    }
  })

  it('are ordered in time and lie on the grids of time and charge', () => {
    for (let event = 0; event < eventCount(batch); event++) {
      for (let row = batch.offsets[event]; row < batch.offsets[event + 1]; row++) {
        const ordered = row === batch.offsets[event] || batch.times[row] >= batch.times[row - 1]
        const code = (batch.charges[row] - 0.025) / 0.05
        const onGrid = Math.abs(code - Math.round(code)) < 0.01 && Number.isInteger(batch.times[row])
        if (!ordered || !onGrid) expect.unreachable(`pulse ${row} of event ${event}`)
      }
    }
  })

  // The events are always the same, so this fails where a formula changes what they look like, and never by chance. Quantiles
  // of 3,000 events scatter by a few per cent; means and charges by more, because one event can have 50,000 pulses.
  it.each([
    { quantity: 'pulses per event, p10', within: 0.08 },
    { quantity: 'pulses per event, p25', within: 0.05 },
    { quantity: 'pulses per event, p50', within: 0.05 },
    { quantity: 'pulses per event, p75', within: 0.05 },
    { quantity: 'pulses per event, p90', within: 0.08 },
    { quantity: 'pulses per event, p95', within: 0.15 },
    { quantity: 'pulses per event, mean', within: 0.45 },
    { quantity: 'share of events above 1000 pulses', within: 0.3 },
    { quantity: 'time of a pulse, p25', within: 0.05 },
    { quantity: 'time of a pulse, p50', within: 0.08 },
    { quantity: 'time of a pulse, p75', within: 0.2 },
    { quantity: 'first pulse of an event, p50', within: 0.01 },
    { quantity: 'first pulse of an event, p75', within: 0.03 },
    { quantity: 'first pulse of an event, mean', within: 0.02 },
    { quantity: 'last pulse of an event, p25', within: 0.01 },
    { quantity: 'last pulse of an event, p50', within: 0.03 },
    { quantity: 'last pulse of an event, p75', within: 0.03 },
    { quantity: 'last pulse of an event, mean', within: 0.03 },
    { quantity: 'first pulse not auxiliary, median', within: 0.001 },
    { quantity: 'charge, p25', within: 0.1 },
    { quantity: 'charge, p50', within: 0.25 },
    { quantity: 'charge of auxiliary pulses, p50', within: 0.06 },
    { quantity: 'charge of other pulses, p50', within: 0.06 },
    { quantity: 'share of pulses not auxiliary', within: 0.06 },
    { quantity: 'sensors per event, median', within: 0.1 },
    { quantity: 'sensors not auxiliary per event, median', within: 0.1 },
    { quantity: 'share of sensors with several pulses', within: 0.15 },
    { quantity: 'noise before the light', within: 0.03 },
    { quantity: 'sensors that answer', within: 0.001 },
    { quantity: 'zenith, p25', within: 0.04 },
    { quantity: 'zenith, p50', within: 0.03 },
    { quantity: 'zenith, p75', within: 0.03 },
    { quantity: 'line fit, not auxiliary, mean error', within: 0.03 },
    { quantity: 'line fit, picked pulses, mean error', within: 0.03 },
    { quantity: 'line fit by charge, picked pulses, mean error', within: 0.03 },
  ])('have the published $quantity to $within', ({ quantity, within }) => {
    const row = rows.get(quantity)
    expect(row?.ratio).toBeGreaterThan(1 - within)
    expect(row?.ratio).toBeLessThan(1 + within)
  })

  it('come from where the light says: the line fit of bright events with long tracks points back to the truth', () => {
    const errors: number[] = []
    for (let event = 0; event < eventCount(batch); event++) {
      const hard = batch.auxiliary
        .subarray(batch.offsets[event], batch.offsets[event + 1])
        .reduce((sum, auxiliary) => sum + 1 - auxiliary, 0)
      if (hard < 60 || !batch.truth) continue
      const truth = { azimuth: batch.truth.azimuth[event], zenith: batch.truth.zenith[event] }
      errors.push(angularDistance(truth, fitLine(batch, hardRows(batch, event))))
    }
    errors.sort((a, b) => a - b)
    expect(errors.length).toBeGreaterThan(150)
    // A quarter and more of bright events are tracks, and the fit is good to ten degrees there; by chance 0.8 % would be.
    expect(errors[Math.floor(errors.length * 0.2)]).toBeLessThan(0.17)
  })
})
