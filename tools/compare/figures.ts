import type { Axis, Chart, Figure, PointSeries, RuleSeries, Series } from '../../src/plots/chart.ts'
import type { ComparisonRow } from './comparison.ts'
import type { Histogram } from './histogram.ts'
import type { EventStatistics } from './statistics.ts'

/** Input of every figure. */
export interface Comparison {
  readonly statistics: EventStatistics
  readonly rows: readonly ComparisonRow[]
  /** Description of the events, such as `simulated events, seed 1`. */
  readonly events: string
}

const PUBLISHED = 'published'
const SIMULATED = 'simulated'
const SHARE_AXIS: Axis = { label: 'share below', unit: '%', min: 0, max: 100 }
const SHARES = Array.from({ length: 199 }, (_, i) => (i + 1) / 200)

/** Figures by file name without extension. */
export function drawComparison(comparison: Comparison): ReadonlyMap<string, Figure> {
  return new Map([
    ['overview', drawOverview(comparison)],
    ['pulses', drawPulses(comparison)],
    ['times', drawTimes(comparison)],
    ['charges', drawCharges(comparison)],
    ['directions', drawDirections(comparison)],
  ])
}

/** Ratios of all known figures, one below the other. */
function drawOverview({ rows, events, statistics }: Comparison): Figure {
  const known = rows.filter(({ ratio }) => Number.isFinite(ratio))
  const y = known.map((_, i) => known.length - i)
  const ends = [0.25, known.length + 0.75]
  const half = Math.ceil(known.length / 2)
  const panel = (from: number, to: number): Chart => {
    const part = known.slice(from, to)
    return {
      x: { label: 'simulated ÷ published', min: 0.4, max: 1.6, tickStep: 0.2 },
      y: {
        label: '',
        min: known.length - to + 0.25,
        max: known.length - from + 0.75,
        ticks: part.map(({ quantity }, i) => ({ value: y[from + i], label: quantity })),
      },
      series: [
        { kind: 'band', x: [0.9, 1.1], low: [ends[0], ends[0]], high: [ends[1], ends[1]] },
        { kind: 'rule', x: 1 },
        ...pointsOf('agrees', part, y.slice(from, to)),
        ...pointsOf('differs', part, y.slice(from, to)),
      ],
    }
  }
  return {
    title: 'Simulated events compared with published figures of real events',
    subtitle: `${count(statistics)} ${events}; shaded: within 10 %; a figure differs if it is outside its own tolerance`,
    panels: [panel(0, half), panel(half, known.length)],
    columns: 2,
    panelWidth: 620,
    panelHeight: 60 + 21 * half,
  }
}

function pointsOf(
  verdict: 'agrees' | 'differs',
  part: readonly ComparisonRow[],
  y: readonly number[],
): Series[] {
  const chosen = part.flatMap((row, i) => (row.verdict === verdict ? [{ x: clip(row.ratio), y: y[i] }] : []))
  if (chosen.length === 0) return []
  return [{ kind: 'points', label: verdict, x: chosen.map((p) => p.x), y: chosen.map((p) => p.y) }]
}

/** Clamps a value to the axis. */
function clip(ratio: number): number {
  return Math.max(0.41, Math.min(1.59, ratio))
}

function drawPulses(comparison: Comparison): Figure {
  const { statistics, rows, events } = comparison
  const steps = Array.from({ length: 120 }, (_, i) => 5 * 10 ** (i / 24)).filter(
    (n) => n <= statistics.pulses.max,
  )
  const above: PointSeries = {
    kind: 'points',
    label: PUBLISHED,
    x: [...quantilesOf(rows, 'pulses per event').map(({ value }) => value), 1000],
    y: [...quantilesOf(rows, 'pulses per event').map(({ share }) => 1 - share), 0.0112],
  }
  const x = { label: 'pulses', scale: 'log', min: 5 } as const
  return {
    title: 'Pulses per event',
    subtitle: `${count(statistics)} ${events}`,
    columns: 2,
    panelWidth: 520,
    panels: [
      {
        x: { label: 'pulses', min: 0, max: 250 },
        y: { label: 'events with fewer', unit: '%', min: 0, max: 100 },
        series: cumulative(comparison, 'pulses per event', statistics.pulses),
      },
      {
        x,
        y: { label: 'share of events with more', scale: 'log', min: 5e-6, max: 1 },
        series: [
          { kind: 'line', label: SIMULATED, x: steps, y: steps.map((n) => statistics.pulses.shareAbove(n)) },
          above,
        ],
      },
    ],
  }
}

function drawTimes(comparison: Comparison): Figure {
  const { statistics, events } = comparison
  const panel = (quantity: string, histogram: Histogram, [min, max]: [number, number]): Chart => ({
    title: quantity,
    x: { label: 'time', unit: 'ns', min, max, tickStep: (max - min) / 5 },
    y: SHARE_AXIS,
    series: cumulative(comparison, quantity, histogram),
  })
  return {
    title: 'Times',
    subtitle: `${count(statistics)} ${events}; the first trigger is at 10,000 ns`,
    columns: 3,
    panelWidth: 380,
    panelHeight: 340,
    panels: [
      panel('first pulse of an event', statistics.firstTimes, [5500, 8000]),
      panel('time of a pulse', statistics.times, [5000, 20_000]),
      panel('last pulse of an event', statistics.lastTimes, [15_000, 25_000]),
    ],
  }
}

function drawCharges(comparison: Comparison): Figure {
  const { statistics, events } = comparison
  const panel = (quantity: string, histogram: Histogram): Chart => ({
    title: quantity,
    x: { label: 'charge', unit: 'p.e.', min: 0, max: 4, tickStep: 1 },
    y: SHARE_AXIS,
    series: cumulative(comparison, quantity, histogram),
  })
  return {
    title: 'Charges',
    subtitle: `${count(statistics)} ${events}; right: events of up to 400 pulses and ten real ones`,
    columns: 3,
    panelWidth: 380,
    panelHeight: 340,
    panels: [
      panel('charge', statistics.charges),
      panel('charge of auxiliary pulses', statistics.softCharges),
      panel('charge of other pulses', statistics.hardCharges),
    ],
  }
}

function drawDirections(comparison: Comparison): Figure {
  const { statistics, rows, events } = comparison
  const zenith = cumulative(comparison, 'zenith', statistics.zeniths)
  const errors: [string, Histogram][] = [
    ['all pulses', statistics.allErrors],
    ['not auxiliary', statistics.hardErrors],
    ['picked', statistics.pickedErrors],
  ]
  const mean = (quantity: string): RuleSeries[] => {
    const row = rows.find((candidate) => candidate.quantity === quantity)
    return row ? [{ kind: 'rule', x: row.published, text: `published mean ${row.published}` }] : []
  }
  return {
    title: 'Directions and the plain line fit',
    subtitle: `${count(statistics)} ${events}`,
    columns: 2,
    panelWidth: 520,
    panels: [
      {
        title: 'zenith',
        x: { label: 'zenith', unit: 'rad', min: 0, max: Math.PI, tickStep: 0.5 },
        y: SHARE_AXIS,
        series: zenith,
      },
      {
        title: 'error of the line fit',
        x: { label: 'angular error', unit: 'rad', min: 0, max: Math.PI, tickStep: 0.5 },
        y: SHARE_AXIS,
        series: [
          ...mean('line fit, not auxiliary, mean error'),
          ...errors.map(([label, histogram]) => line(label, histogram)),
        ],
      },
    ],
  }
}

/** The cumulative distribution in per cent, with the published quantiles. */
function cumulative({ rows }: Comparison, quantity: string, histogram: Histogram): Series[] {
  const known = quantilesOf(rows, quantity)
  return [
    line(SIMULATED, histogram),
    {
      kind: 'points',
      label: PUBLISHED,
      x: known.map(({ value }) => value),
      y: known.map(({ share }) => share * 100),
    },
  ]
}

function line(label: string, histogram: Histogram): Series {
  return { kind: 'line', label, x: histogram.quantiles(SHARES), y: SHARES.map((share) => share * 100) }
}

/** Published quantiles of a quantity, by the `p` in their names. */
function quantilesOf(rows: readonly ComparisonRow[], quantity: string): { share: number; value: number }[] {
  return rows.flatMap((row) => {
    const percent = row.quantity.startsWith(`${quantity}, p`) ? row.quantity.slice(quantity.length + 3) : ''
    return percent === '' ? [] : [{ share: Number(percent) / 100, value: row.published }]
  })
}

function count(statistics: EventStatistics): string {
  return statistics.events.toLocaleString('en')
}
