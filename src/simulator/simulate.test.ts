import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkEvents } from '../event/check.ts'
import { type EventBatch, eventCount, TOPOLOGIES, TRUTH_DETAILS } from '../event/event-batch.ts'
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
    expect(digest(simulateEvents(42, 0, 50))).toBe('0ab552dee93c2c17')
  })

  it('gives other events for another seed', () => {
    expect(digest(simulateEvents(43, 0, 5))).not.toBe(digest(simulateEvents(42, 0, 5)))
  })

  it('resumes at any event: an event does not depend on earlier ones', () => {
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

describe('neutrinos beside muons', () => {
  const batch = simulateEvents(3, 0, 400)
  const detail = (event: number, name: (typeof TRUTH_DETAILS)[number]) =>
    batch.truth?.details?.[event * TRUTH_DETAILS.length + TRUTH_DETAILS.indexOf(name)] ?? Number.NaN
  const events = Array.from({ length: 400 }, (_, event) => event)
  const beside = events.filter((event) => detail(event, 'muon_triggered') === 1)

  it('are a quarter of the events, each with a visible muon', () => {
    expect(beside.length).toBeGreaterThan(75)
    expect(beside.length).toBeLessThan(125)
    for (const event of beside) expect(detail(event, 'visible_muons')).toBeGreaterThan(0)
  })

  it('carry energy, vertex, inelasticity and the muon of what made their light', () => {
    for (const event of events) {
      expect(detail(event, 'energy')).toBeGreaterThan(40)
      expect(Math.hypot(detail(event, 'vertex_x'), detail(event, 'vertex_y'))).toBeLessThan(2500)
      const topology = TOPOLOGIES[batch.truth?.topology?.[event] ?? 0]
      expect(detail(event, 'muon_energy') > 0).toBe(topology !== 'cascade')
      const inelasticity = detail(event, 'inelasticity')
      if (topology === 'through-going track') expect(inelasticity).toBeNaN()
      else expect(inelasticity > 0 && inelasticity < 1).toBe(true)
    }
  })
})

describe('a stream of muons', () => {
  const simulator = new Simulator(42, { kind: 'muons' })
  const { truth } = simulator.simulate(0, 40)

  it('comes from above', () => {
    expect(Math.max(...(truth?.zenith ?? [Number.NaN]))).toBeLessThan(1.4)
  })

  it('resumes at any event, and differs from the stream of neutrinos', () => {
    const muons = digest(simulator.simulate(40, 5))
    expect(digest(new Simulator(42, { kind: 'muons' }).simulate(40, 5))).toBe(muons)
    expect(digest(new Simulator(42).simulate(40, 5))).not.toBe(muons)
  })
})

describe('simulated events', () => {
  let batch: EventBatch

  beforeAll(() => {
    batch = simulateEvents(2026, 0, 3000)
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
})
