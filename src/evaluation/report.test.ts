import { describe, expect, it } from 'vitest'
import type { EventFacts, ModelAnswers } from './evaluate.ts'
import { figuresOf } from './figures.ts'
import { makeReport, toJson } from './report.ts'
import { quantilesOf, summariseByBin } from './statistics.ts'
import { renderReport } from './table.ts'

const bootstrap = { seed: 1, resamples: 100 }

const facts: EventFacts = {
  pulses: Float64Array.of(10, 40, 40, 70, 2000),
  zenith: Float64Array.of(0.1, 0.2, 1.7, 3.1, Number.NaN),
  hasReference: new Float64Array(5),
  topology: Float64Array.of(1, 1, 3, 3, 0),
}

function answers(model: string, error: number[], more: Partial<ModelAnswers> = {}): ModelAnswers {
  const kappa = new Float64Array(error.length).fill(Number.NaN)
  const counts = { predicted: 5, failed: {}, failedExamples: [], degenerate: 0, seconds: 2 }
  const columns = { error: Float64Array.from(error), kappa, referenceAngle: kappa.slice() }
  return { model, version: '1', ...columns, ...counts, ...more }
}

const a = answers('a', [0.1, 0.3, 0.2, 0.4, Number.NaN])
const b = answers('b', [0.2, 0.4, 0.1, Number.NaN, Number.NaN], {
  failed: { model_failed: 1 },
  failedExamples: [{ eventId: '4', code: 'model_failed', message: 'too steep' }],
  predicted: 4,
})

describe('summariseByBin()', () => {
  it('counts a value on an edge in the upper bin, and the last edge in the last bin', () => {
    const bins = summariseByBin(Float64Array.of(1, 2, 3), Float64Array.of(0, 5, 10), [0, 5, 10], bootstrap)
    expect(bins.map(({ events }) => events)).toEqual([1, 2])
    expect(bins[1].meanAngularErrorRad).toBe(2.5)
  })
})

it('quantilesOf() interpolates', () => {
  expect(quantilesOf(Float64Array.of(1, 0.4, 0.1, 0.3, 0.2))?.p90).toBeCloseTo(0.76, 12)
  expect(quantilesOf(new Float64Array(0))).toBeNull()
})

describe('makeReport()', () => {
  const report = makeReport(
    'test',
    facts,
    [
      { spec: 'models/a', answers: a },
      { spec: 'models/b', answers: b },
    ],
    bootstrap,
  )
  const [one, other] = report.models

  it('gives angles to references apart from errors', () => {
    const angles = Float64Array.of(0.1, 0.3, Number.NaN, 0.2, Number.NaN)
    const given = {
      spec: 'a',
      answers: { ...answers('a', [Number.NaN, 1, 1, 1, 1]), referenceAngle: angles },
    }
    const referred = { ...facts, hasReference: Float64Array.of(1, 1, 1, 1, 0) }
    const { models, eventsWithReference } = makeReport('test', referred, [given], bootstrap)
    expect(eventsWithReference).toBe(4)
    expect(models[0].reference).toEqual({
      events: 3,
      medianRad: 0.2,
      p90Rad: expect.closeTo(0.28, 12),
      maxRad: 0.3,
    })
    expect(models[0]).toMatchObject({ events: 4, meanAngularErrorRad: 1 })
  })

  it('gives mean, median and intervals of the events with truth', () => {
    expect(report).toMatchObject({ events: 5, eventsWithTruth: 4, eventsWithReference: 0 })
    expect(report.models[0].reference).toBeNull()
    expect(one).toMatchObject({ events: 4, eventsPerSecond: 2.5, calibration: null })
    expect(one.meanAngularErrorRad).toBeCloseTo(0.25, 12)
    expect(one.medianAngularErrorRad).toBeCloseTo(0.25, 12)
    const [low, high] = one.meanAngularErrorIntervalRad ?? [0, 0]
    expect(low).toBeGreaterThan(0.1)
    expect(high).toBeLessThan(0.4)
    expect(low).toBeLessThan(0.25)
    expect(high).toBeGreaterThan(0.25)
  })

  it('sorts events by pulses, zenith and topology', () => {
    const filled = (bins: readonly { events: number }[]) => bins.map(({ events }) => events)
    expect(filled(one.byPulseCount)).toEqual([1, 2, 0, 1, 0, 0, 0, 0, 0, 0])
    expect(filled(one.byZenith)).toEqual([2, 0, 0, 1, 0, 1])
    expect(one.byTopology.map(({ topology, events }) => [topology, events])).toEqual([
      ['through-going track', 2],
      ['cascade', 2],
    ])
    expect(one.byPulseCount[9].to).toBeNull()
    expect(one.byPulseCount[0]).toMatchObject({ meanAngularErrorRad: 0.1, meanAngularErrorIntervalRad: null })
  })

  it('keeps kappa, pulses, zenith and topology with the error of their event when other events have no error', () => {
    const error = [Number.NaN, 0.3, Number.NaN, 0.4, 0.5]
    const kappa = Float64Array.of(1, 20, 3, 40, 50)
    const known = { ...facts, zenith: Float64Array.of(0.1, 0.2, 1.7, 3.1, 1.7) }
    const [model] = makeReport(
      'test',
      known,
      [{ spec: 'c', answers: answers('c', error, { kappa }) }],
      bootstrap,
    ).models
    const means = (bins: readonly { events: number; meanAngularErrorRad: number | null }[]) =>
      bins.flatMap(({ events, meanAngularErrorRad }, i) => (events > 0 ? [[i, meanAngularErrorRad]] : []))
    expect(means(model.byPulseCount)).toEqual([
      [1, 0.3],
      [3, 0.4],
      [9, 0.5],
    ])
    expect(means(model.byZenith)).toEqual([
      [0, 0.3],
      [3, 0.5],
      [5, 0.4],
    ])
    expect(
      model.byTopology.map(({ topology, meanAngularErrorRad }) => [topology, meanAngularErrorRad]),
    ).toEqual([
      ['through-going track', 0.3],
      ['cascade', 0.4],
    ])
    expect(model.calibration?.byKappa.map(({ kappaFrom }) => kappaFrom)).toEqual([20, 40, 50])
    expect(model.calibration?.byKappa.map(({ radius50 }) => radius50.observedRad)).toEqual([0.3, 0.4, 0.5])
  })

  it('compares two models on the events that both have answered', () => {
    expect(report.differences).toHaveLength(1)
    const [difference] = report.differences
    expect(difference).toMatchObject({ model: 'a', against: 'b', events: 3, betterShare: 2 / 3 })
    expect(difference.meanDifferenceRad).toBeCloseTo(-0.1 / 3, 12)
  })

  it('distinguishes models of the same name', () => {
    const label = (...named: [string, ModelAnswers][]) =>
      makeReport(
        'test',
        facts,
        named.map(([spec, answered]) => ({ spec, answers: answered })),
        bootstrap,
      ).models.map((model) => model.label)
    expect(label(['x', a], ['y', { ...a, version: '2' }])).toEqual(['a 1', 'a 2'])
    expect(label(['x', a], ['y', a])).toEqual(['x', 'y'])
    expect(label(['x', a], ['x', a])).toEqual(['1: x', '2: x'])
  })

  it('is the same for the same data', () => {
    const again = makeReport('test', facts, [{ spec: 'models/a', answers: a }], bootstrap)
    expect(again.models[0]).toEqual(one)
  })

  it('accepts data without truth', () => {
    const none = { ...facts, zenith: facts.zenith.map(() => Number.NaN) }
    const blind = answers('a', new Array<number>(5).fill(Number.NaN))
    const seen = makeReport('test', none, [{ spec: 'a', answers: blind }], bootstrap)
    expect(seen.models[0]).toMatchObject({ events: 0, meanAngularErrorRad: null, predicted: 5 })
    expect(seen.differences).toEqual([])
    expect(figuresOf(seen)).toEqual({})
    expect(renderReport(seen).split('\n')).toHaveLength(3)
  })

  it('is written with five digits, and with null for missing values', () => {
    const written = JSON.parse(toJson(report))
    expect(written.models[0].meanAngularErrorRad).toBe(0.25)
    expect(written.models[0].byPulseCount[2].meanAngularErrorRad).toBeNull()
    expect(written.models[1].failed).toEqual({ model_failed: 1 })
  })

  it('makes a table that shows every model and the difference', () => {
    const table = renderReport(report)
    expect(table).toMatch(/^a +1 +5 +0 +0\.2500 ± /m)
    expect(table).toMatch(/^b +1 +4 +1 +/m)
    expect(table).toMatch(/^a − b +3 +−1\.91° /m)
    expect(table).toMatch(/^through-going track +2 /m)
    expect(table).toContain('without a direction by b: 1 model_failed\n  event 4: too steep')
    // One event has no scatter.
    expect(table).toMatch(/^1 to 31 +1 +5\.7° +11\.5°$/m)
    expect(table).not.toMatch(/calibration/)
    expect(table).not.toMatch(/NaN|undefined/)
  })

  it('names models that failed on the same events together', () => {
    const named = [b, { ...b, model: 'c' }, a].map((answered) => ({
      spec: answered.model,
      answers: answered,
    }))
    const table = renderReport(makeReport('test', facts, named, bootstrap))
    expect(table.match(/^without a direction .*$/gm)).toEqual(['without a direction by b, c: 1 model_failed'])
  })

  it('makes figures, with calibration only where a model gives a concentration', () => {
    expect(Object.keys(figuresOf(report)).sort()).toEqual([
      'error-by-pulses',
      'error-by-topology',
      'error-by-zenith',
      'error-cumulative',
      'evaluation',
    ])
    const sure = answers('c', [0.1, 0.3, 0.2, 0.4, Number.NaN], { kappa: new Float64Array(5).fill(20) })
    const figures = figuresOf(makeReport('test', facts, [{ spec: 'c', answers: sure }], bootstrap))
    expect(figures['calibration'].panels).toHaveLength(3)
    expect(other.calibration).toBeNull()
  })
})
