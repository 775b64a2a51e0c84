import { beforeAll, describe, expect, it } from 'vitest'
import { angularDistance } from '../../src/event/direction.ts'
import { type EventBatch, eventCount, TRUTH_DETAILS } from '../../src/event/event-batch.ts'
import { Simulator, simulateEvents } from '../../src/simulator/simulate.ts'
import { type ComparisonRow, compareWithPublished } from './comparison.ts'
import { fitLine, hardRows } from './line-fits.ts'
import { EventStatistics } from './statistics.ts'

describe('simulated events', () => {
  const statistics = new EventStatistics()
  let batch: EventBatch
  let rows: Map<string, ComparisonRow>

  beforeAll(() => {
    batch = simulateEvents(2026, 0, 3000)
    statistics.add(batch)
    rows = new Map(compareWithPublished(statistics).map((row) => [row.quantity, row]))
  }, 60_000)

  // The events are always the same, so this test fails only when a formula changes, never by chance. Quantiles
  // of 3,000 events scatter by a few per cent; means and charges by more, because one event can have 50,000 pulses.
  it.each([
    { quantity: 'pulses per event, p10', within: 0.08 },
    { quantity: 'pulses per event, p25', within: 0.05 },
    { quantity: 'pulses per event, p50', within: 0.05 },
    { quantity: 'pulses per event, p75', within: 0.05 },
    { quantity: 'pulses per event, p90', within: 0.08 },
    { quantity: 'pulses per event, p95', within: 0.2 },
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
    { quantity: 'share of pulses not auxiliary', within: 0.1 },
    { quantity: 'sensors per event, median', within: 0.1 },
    { quantity: 'sensors not auxiliary per event, median', within: 0.2 },
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
    // At least a quarter of bright events are tracks, which the fit finds within ten degrees; by chance 0.8 % would be.
    expect(errors[Math.floor(errors.length * 0.2)]).toBeLessThan(0.17)
  })
})

describe('atmospheric muons', () => {
  const errorsOf = (batch: EventBatch, isWanted: (event: number) => boolean) =>
    Array.from({ length: eventCount(batch) }, (_, event) => event)
      .filter(isWanted)
      .map((event) => {
        const { azimuth = [], zenith = [] } = batch.truth ?? {}
        const truth = { azimuth: azimuth[event], zenith: zenith[event] }
        return angularDistance(truth, fitLine(batch, hardRows(batch, event)))
      })
      .toSorted((a, b) => a - b)

  it('a neutrino that did not trigger is the truth of a quarter of the events, and their light does not show it', () => {
    const batch = simulateEvents(3, 0, 1200)
    const triggered = TRUTH_DETAILS.indexOf('muon_triggered')
    const errors = errorsOf(
      batch,
      (event) => batch.truth?.details?.[event * TRUTH_DETAILS.length + triggered] === 1,
    )
    expect(errors.length / 1200).toBeGreaterThan(0.22)
    expect(errors.length / 1200).toBeLessThan(0.28)
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeGreaterThan(1.4)
  })

  it('a stream of them has their directions as truth', () => {
    const errors = errorsOf(new Simulator(42, { kind: 'muons' }).simulate(0, 300), () => true)
    expect(errors[150]).toBeLessThan(0.5)
  })
})
