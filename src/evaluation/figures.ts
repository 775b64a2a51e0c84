import type { Chart, Figure, Series, Tick } from '../plots/chart.ts'
import type { EvaluationReport, ModelReport } from './report.ts'
import type { BinSummary, ErrorSummary } from './statistics.ts'

type Statistic = 'mean' | 'median'

const ERROR_AXIS = { label: 'angular error', unit: 'deg' } as const

/** The figures of a report by file name without extension; figures without data are omitted. */
export function figuresOf(report: EvaluationReport): Record<string, Figure> {
  const { models } = report
  if (models.every(({ events }) => events === 0)) return {}
  const subtitle = `${report.events.toLocaleString('en')} events of ${report.data}; bands are 95 % intervals`
  const figures: Record<string, Figure> = {
    'error-cumulative': { title: 'Angular error', subtitle, panels: [cumulativeChart(models)] },
    'error-by-pulses': both('Angular error by pulse count', subtitle, (s) => pulsesChart(models, s)),
    'error-by-zenith': both('Angular error by true zenith', subtitle, (s) => zenithChart(models, s)),
  }
  if (models.some(({ byTopology }) => byTopology.length > 0))
    figures['error-by-topology'] = both('Angular error by topology', subtitle, (s) =>
      topologyChart(models, s),
    )
  const sure = models.filter(({ calibration }) => calibration !== null)
  const calibration = [
    reliabilityChart(sure),
    radiusChart(sure, 'radius50', '50 %'),
    radiusChart(sure, 'radius90', '90 %'),
  ]
  if (sure.length > 0)
    figures['calibration'] = wide(
      'Calibration of kappa',
      'Observed against predicted; a calibrated model lies on the line',
      calibration,
    )
  const overview = [cumulativeChart(models), pulsesChart(models, 'median'), zenithChart(models, 'mean')]
  overview.push(sure.length > 0 ? reliabilityChart(sure) : pulsesChart(models, 'mean'))
  figures['evaluation'] = wide('Reconstruction of direction', subtitle, overview)
  const labels = models.map(({ label }) => label)
  return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, { ...figure, labels }]))
}

function wide(title: string, subtitle: string, panels: Chart[]): Figure {
  return { title, subtitle, panels, columns: 2, panelWidth: 500, panelHeight: 360 }
}

function both(title: string, subtitle: string, chartOf: (statistic: Statistic) => Chart): Figure {
  return wide(title, subtitle, [chartOf('mean'), chartOf('median')])
}

function cumulativeChart(models: readonly ModelReport[]): Chart {
  return {
    title: 'Share of events with at most this error',
    x: { ...ERROR_AXIS, scale: 'log', min: 0.1, max: 180 },
    y: { label: 'share of events', min: 0, max: 1 },
    series: [
      { kind: 'rule', y: 0.5, text: 'median' },
      ...models.map(
        ({ label, cumulative }): Series => ({
          kind: 'line',
          label,
          x: cumulative.map(({ angleRad }) => degrees(angleRad)),
          y: cumulative.map(({ share }) => share),
        }),
      ),
    ],
  }
}

function pulsesChart(models: readonly ModelReport[], statistic: Statistic): Chart {
  const top = 2048
  return {
    title: `${capital(statistic)} error by pulse count`,
    x: { label: 'pulses', scale: 'log', min: 20, max: top, ticks: [32, 64, 128, 256, 512, 1024].map(toTick) },
    y: { ...ERROR_AXIS, label: `${statistic} error`, min: 0 },
    series: models.flatMap(({ label, byPulseCount }) =>
      steps(label, byPulseCount, statistic, { scale: 1, top }),
    ),
  }
}

function zenithChart(models: readonly ModelReport[], statistic: Statistic): Chart {
  return {
    title: `${capital(statistic)} error by true zenith`,
    x: { label: 'true zenith, 0 is down-going', unit: 'deg', min: 0, max: 180, tickStep: 30 },
    y: { ...ERROR_AXIS, label: `${statistic} error`, min: 0 },
    series: models.flatMap(({ label, byZenith }) =>
      steps(label, byZenith, statistic, { scale: 180 / Math.PI, top: Math.PI }),
    ),
  }
}

interface BinAxis {
  /** Converts the unit of the bins to that of the axis. */
  readonly scale: number
  /** Upper end at which the open last bin is drawn. */
  readonly top: number
}

function steps(
  label: string,
  bins: readonly BinSummary[],
  statistic: Statistic,
  { scale, top }: BinAxis,
): Series[] {
  if (bins.length === 0) return []
  const edges = [...bins.map(({ from }) => from), bins[bins.length - 1].to ?? top].map((edge) => edge * scale)
  const { values, low, high } = columnsOf(bins, statistic)
  return [{ kind: 'step', label, edges, values, low, high }]
}

function topologyChart(models: readonly ModelReport[], statistic: Statistic): Chart {
  const names = [...new Set(models.flatMap(({ byTopology }) => byTopology.map(({ topology }) => topology)))]
  const ticks = names.map((label, value) => ({ value, label }))
  return {
    title: `${capital(statistic)} error by topology`,
    x: { label: 'event topology', min: -0.5, max: names.length - 0.5, ticks },
    y: { ...ERROR_AXIS, label: `${statistic} error`, min: 0 },
    series: models.map(({ label, byTopology }, i): Series => {
      const shift = 0.12 * (i - (models.length - 1) / 2)
      const { values, low, high } = columnsOf(byTopology, statistic)
      const x = byTopology.map(({ topology }) => names.indexOf(topology) + shift)
      return { kind: 'points', label, x, y: values, low, high }
    }),
  }
}

function columnsOf(summaries: readonly ErrorSummary[], statistic: Statistic) {
  const isMean = statistic === 'mean'
  const intervals = summaries.map((each) =>
    isMean ? each.meanAngularErrorIntervalRad : each.medianAngularErrorIntervalRad,
  )
  return {
    values: summaries.map((each) => degrees(isMean ? each.meanAngularErrorRad : each.medianAngularErrorRad)),
    low: intervals.map((interval) => degrees(interval?.[0] ?? null)),
    high: intervals.map((interval) => degrees(interval?.[1] ?? null)),
  }
}

/** Share of events within their own radius of a predicted share. */
function reliabilityChart(models: readonly ModelReport[]): Chart {
  return {
    title: 'Events within their own predicted radius',
    x: { label: 'predicted share', min: 0, max: 1 },
    y: { label: 'observed share', min: 0, max: 1 },
    series: [
      { kind: 'line', x: [0, 1], y: [0, 1] },
      ...models.map(({ label, calibration }): Series => {
        const points = [{ predicted: 0, observed: 0 }, ...(calibration?.reliability ?? [])]
        return {
          kind: 'line',
          label,
          x: [...points.map(({ predicted }) => predicted), 1],
          y: [...points.map(({ observed }) => observed), 1],
        }
      }),
    ],
  }
}

/** Radius that contains a share of the events of each range of kappa. */
function radiusChart(models: readonly ModelReport[], which: 'radius50' | 'radius90', share: string): Chart {
  const series = models.map(({ label, calibration }) => ({
    kind: 'points' as const,
    label,
    x: calibration?.byKappa.map((bin) => degrees(bin[which].predictedRad)) ?? [],
    y: calibration?.byKappa.map((bin) => degrees(bin[which].observedRad)) ?? [],
  }))
  const radii = series.flatMap(({ x, y }) => [...x, ...y]).filter((radius) => radius > 0)
  const min = 0.8 * Math.min(100, ...radii)
  const axis = { unit: 'deg', scale: 'log', min, max: 200 } as const
  return {
    title: `Radius that contains ${share}, by kappa`,
    x: { label: 'predicted radius', ...axis },
    y: { label: 'observed radius', ...axis },
    series: [{ kind: 'line', x: [min, 200], y: [min, 200] }, ...series],
  }
}

function degrees(radians: number | null): number {
  return radians === null ? Number.NaN : (radians * 180) / Math.PI
}

function toTick(value: number): Tick {
  return { value, label: String(value) }
}

function capital(word: string): string {
  return word[0].toUpperCase() + word.slice(1)
}
