import type { EventStatistics } from './statistics.ts'

/** One figure of the simulated events beside the published one. */
export interface ComparisonRow {
  readonly quantity: string
  readonly published: number
  readonly simulated: number
  /** Simulated over published. */
  readonly ratio: number
  readonly source: string
}

/** Figures of the challenge's training events as shown in public notebooks (131,953,924 events; times and charges: batch 1). */
const TRAINING = 'training events'
/** Ten real events looked at pulse by pulse; their figures scatter by a quarter and more. */
const SAMPLE = 'ten real events'

interface Published {
  readonly quantity: string
  readonly published: number
  readonly source: string
  of(statistics: EventStatistics): number
}

/** Published figures with the same figure of simulated events. Times in ns, charges in photo-electrons, angles in radians. */
const PUBLISHED: readonly Published[] = [
  ...quantiles('pulses per event', TRAINING, (s) => s.pulses, {
    10: 39,
    25: 48,
    50: 63,
    75: 89,
    90: 144,
    95: 222,
    97.5: 393,
  }),
  row('pulses per event, mean', 164.4, TRAINING, (s) => s.pulses.mean()),
  row('share of events above 1000 pulses', 0.0112, TRAINING, (s) => s.pulses.shareAbove(1000)),
  row('pulses per event, largest', 178_250, TRAINING, (s) => s.pulses.max),
  ...quantiles('charge', TRAINING, (s) => s.charges, { 25: 0.775, 50: 1.075, 75: 1.775 }),
  row('charge, mean', 3.909, TRAINING, (s) => s.charges.mean()),
  row('charge, largest', 2762.02, TRAINING, (s) => s.charges.max),
  ...quantiles('charge of auxiliary pulses', SAMPLE, (s) => s.softCharges, {
    25: 0.675,
    50: 0.875,
    75: 1.125,
  }),
  ...quantiles('charge of other pulses', SAMPLE, (s) => s.hardCharges, { 25: 0.725, 50: 0.975, 75: 1.225 }),
  row('share of pulses not auxiliary', 0.469, SAMPLE, (s) => s.sampleHardPulses / s.samplePulses),
  ...quantiles('time of a pulse', TRAINING, (s) => s.times, { 25: 10_566, 50: 11_815, 75: 13_916 }),
  ...quantiles('first pulse of an event', TRAINING, (s) => s.firstTimes, { 25: 5973, 50: 6129, 75: 6405 }),
  ...quantiles('last pulse of an event', TRAINING, (s) => s.lastTimes, {
    25: 16_214,
    50: 17_242,
    75: 18_787,
  }),
  row('first pulse not auxiliary, median', 9872, SAMPLE, (s) => s.firstHardTimes.quantile(0.5)),
  row('sensors per event, median', 43, SAMPLE, (s) => s.sensors.quantile(0.5)),
  row('sensors not auxiliary per event, median', 9.5, SAMPLE, (s) => s.hardSensors.quantile(0.5)),
  ...quantiles('zenith', TRAINING, (s) => s.zeniths, { 25: 1.005, 50: 1.527, 75: 2.055 }),
  row('error of the plain line fit, not auxiliary, mean', 1.2172, TRAINING, (s) =>
    s.hardLineFitErrors.mean(),
  ),
]

/** How near the events come to the published figures. */
export function compareWithPublished(statistics: EventStatistics): ComparisonRow[] {
  return PUBLISHED.map(({ quantity, published, source, of }) => {
    const simulated = of(statistics)
    return { quantity, published, simulated, ratio: simulated / published, source }
  })
}

/** The comparison as a table of plain text. */
export function renderComparison(rows: readonly ComparisonRow[]): string {
  const cells = [
    ['quantity', 'published', 'simulated', 'ratio', 'published of'],
    ...rows.map(({ quantity, published, simulated, ratio, source }) => [
      quantity,
      toText(published),
      toText(simulated),
      Number.isFinite(ratio) ? ratio.toFixed(2) : '-',
      source,
    ]),
  ]
  const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)))
  return cells
    .map((line) => {
      const padded = line.map((cell, i) =>
        i === 0 || i === 4 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]),
      )
      return padded.join('  ').trimEnd()
    })
    .join('\n')
}

function toText(value: number): string {
  if (!Number.isFinite(value)) return '-'
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)))
}

function row(quantity: string, published: number, source: string, of: Published['of']): Published {
  return { quantity, published, source, of }
}

function quantiles(
  quantity: string,
  source: string,
  histogram: (statistics: EventStatistics) => { quantile(p: number): number },
  percents: Readonly<Record<number, number>>,
): Published[] {
  return Object.entries(percents)
    .map(([percent, published]) => ({ percent: Number(percent), published }))
    .sort((a, b) => a.percent - b.percent)
    .map(({ percent, published }) =>
      row(`${quantity}, p${percent}`, published, source, (s) => histogram(s).quantile(percent / 100)),
    )
}
