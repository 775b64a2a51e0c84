import { beforeAll, describe, expect, it } from 'vitest'
import { renderFigure } from '../../src/plots/figure.ts'
import { simulateEvents } from '../../src/simulator/simulate.ts'
import { compareWithPublished } from './comparison.ts'
import { drawComparison } from './figures.ts'
import { PUBLISHED } from './published.ts'
import { EventStatistics } from './statistics.ts'

describe('drawComparison()', () => {
  const statistics = new EventStatistics()
  beforeAll(() => statistics.add(simulateEvents(8, 0, 100)))
  const draw = (of: EventStatistics) =>
    drawComparison({ statistics: of, rows: compareWithPublished(of), events: 'events of sim:8' })

  it('has a figure of each kind, every published figure in the overview', () => {
    const figures = draw(statistics)
    expect([...figures.keys()]).toEqual(['overview', 'pulses', 'times', 'charges', 'directions'])
    const overview = figures.get('overview')
    const labels = overview?.panels.flatMap(({ y }) => y.ticks?.map(({ label }) => label) ?? [])
    expect(labels).toEqual(PUBLISHED.map(({ quantity }) => quantity))
  })

  it('marks the published quantiles at their values', () => {
    const pulses = draw(statistics)
      .get('pulses')
      ?.panels[0].series.find(({ kind }) => kind === 'points')
    expect(pulses).toMatchObject({ label: 'published' })
    const points = pulses?.kind === 'points' ? Array.from(pulses.x, (x, i) => [x, pulses.y[i]]) : []
    expect(points[0]).toEqual([39, 10])
    expect(points[2]).toEqual([63, 50])
  })

  it('can be drawn without events', () => {
    for (const of of [statistics, new EventStatistics()])
      for (const figure of draw(of).values()) expect(renderFigure(figure)).not.toMatch(/NaN|Infinity/)
  })
})
