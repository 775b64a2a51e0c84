import type { EvaluationReport, ModelReport } from './report.ts'
import type { BinSummary, ErrorSummary, Interval } from './statistics.ts'

/** Most failed events listed below the overview; the JSON report has more. */
const FAILED_SHOWN = 5
const NUMBER = /^[–\d.,±°% −+×()-]*$/

/** Rows of text in aligned columns; the first row is the head. Columns of numbers are aligned to the right. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const columns = rows[0].map((_, column) => {
    const cells = rows.map((row) => row[column])
    return {
      width: Math.max(...cells.map((cell) => cell.length)),
      isNumber: cells.slice(1).every((cell) => NUMBER.test(cell)),
    }
  })
  const lines = rows.map((row) =>
    row
      .map((cell, column) => {
        const { width, isNumber } = columns[column]
        return isNumber ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
  lines.splice(1, 0, columns.map(({ width }) => '─'.repeat(width)).join('  '))
  return lines.join('\n')
}

/** The report as text: angular errors of several models side by side, in degrees, with counts and calibration. */
export function renderReport(report: EvaluationReport): string {
  const { models } = report
  const parts = [renderOverview(models), ...renderFailed(models)]
  if (report.eventsWithReference > 0) parts.push(renderReferences(models))
  if (report.eventsWithTruth > 0) {
    if (report.differences.length > 0) parts.push(renderDifferences(report))
    for (const statistic of ['median', 'mean'] as const) {
      parts.push(renderBins(`${statistic} by pulses`, models, statistic, (m) => m.byPulseCount.map(byPulses)))
    }
    parts.push(renderBins('mean by true zenith', models, 'mean', (m) => m.byZenith.map(byDegrees)))
    if (models[0].byTopology.length > 0) {
      for (const statistic of ['median', 'mean'] as const)
        parts.push(renderBins(`${statistic} by topology`, models, statistic, byTopology))
    }
    parts.push(...renderCalibration(models))
    parts.push(
      `95 % intervals by bootstrap, ${report.bootstrap.resamples} resamples, seed ${report.bootstrap.seed}`,
    )
  }
  return parts.join('\n\n')
}

function renderOverview(models: readonly ModelReport[]): string {
  const head = [
    'model',
    'version',
    'events',
    'failed',
    'mean (rad)',
    'mean',
    'median',
    'p10',
    'p90',
    'events/s',
  ]
  const rows = models.map((model) => {
    const failed = Object.values(model.failed).reduce((sum, count) => sum + count, 0)
    const { meanAngularErrorRad: mean, quantilesRad, medianAngularErrorRad: median } = model
    return [
      model.label,
      model.version,
      String(model.predicted),
      String(failed),
      mean === null
        ? '–'
        : withHalfWidth(mean, model.meanAngularErrorIntervalRad, (radians) => radians.toFixed(4)),
      toDegrees(mean),
      median === null ? '–' : withHalfWidth(median, model.medianAngularErrorIntervalRad, toDegrees),
      toDegrees(quantilesRad?.p10 ?? null),
      toDegrees(quantilesRad?.p90 ?? null),
      String(model.eventsPerSecond),
    ]
  })
  return renderTable([head, ...rows])
}

/** Events without a direction, with reasons; models that failed on the same events are listed together. */
function renderFailed(models: readonly ModelReport[]): string[] {
  const labels = new Map<string, string[]>()
  for (const model of models) {
    const reasons = describeFailed(model)
    if (reasons) labels.set(reasons, [...(labels.get(reasons) ?? []), model.label])
  }
  return [...labels].map(([reasons, named]) => `without a direction by ${named.join(', ')}: ${reasons}`)
}

function describeFailed({ failed, failedExamples }: ModelReport): string | undefined {
  const codes = Object.entries(failed)
  if (codes.length === 0) return undefined
  const lines = failedExamples.slice(0, FAILED_SHOWN).map(({ eventId, message }) => {
    const isNamed = eventId === null || message.includes(eventId)
    return isNamed ? `  ${message}` : `  event ${eventId}: ${message}`
  })
  return [codes.map(([code, events]) => `${events} ${code}`).join(', '), ...lines].join('\n')
}

/** Angles to the reference, which is not the truth, in a table of their own. */
function renderReferences(models: readonly ModelReport[]): string {
  const head = ['angle to the reference (not the truth)', 'events', 'median', 'p90', 'largest']
  const degrees = (radians: number) => `${((radians * 180) / Math.PI).toFixed(2)}°`
  const rows = models.map(({ label, reference }) =>
    reference === null
      ? [label, '0', '–', '–', '–']
      : [
          label,
          String(reference.events),
          ...[reference.medianRad, reference.p90Rad, reference.maxRad].map(degrees),
        ],
  )
  return renderTable([head, ...rows])
}

function renderDifferences({ differences, models }: EvaluationReport): string {
  const head = [
    'on the same events',
    'events',
    'mean difference',
    '95 % from',
    'to',
    'of its mean',
    'better on',
  ]
  const rows = differences.map((difference) => {
    const { meanDifferenceRad, meanDifferenceIntervalRad, betterShare } = difference
    const mean = models.find(({ label }) => label === difference.against)?.meanAngularErrorRad
    const share = mean ? `${signed((100 * meanDifferenceRad) / mean, 1)} %` : '–'
    return [
      `${difference.model} − ${difference.against}`,
      String(difference.events),
      `${signed((meanDifferenceRad * 180) / Math.PI, 2)}°`,
      ...meanDifferenceIntervalRad.map((end) => `${signed((end * 180) / Math.PI, 2)}°`),
      share,
      `${(100 * betterShare).toFixed(1)} %`,
    ]
  })
  return renderTable([head, ...rows])
}

interface Row {
  readonly label: string
  readonly summary: ErrorSummary
}

function renderBins(
  title: string,
  models: readonly ModelReport[],
  statistic: 'mean' | 'median',
  rowsOf: (model: ModelReport) => readonly Row[],
): string {
  const head = [title, 'events', ...models.map(({ label }) => label)]
  const columns = models.map(rowsOf)
  const labels = [...new Set(columns.flat().map(({ label }) => label))]
  const rows = labels.flatMap((label) => {
    const summaries = columns.map((column) => column.find((row) => row.label === label)?.summary)
    const events = Math.max(...summaries.map((summary) => summary?.events ?? 0))
    return events === 0 ? [] : [[label, String(events), ...summaries.map((each) => toCell(each, statistic))]]
  })
  return renderTable([head, ...rows])
}

function toCell(summary: ErrorSummary | undefined, statistic: 'mean' | 'median'): string {
  const isMean = statistic === 'mean'
  const value = isMean ? summary?.meanAngularErrorRad : summary?.medianAngularErrorRad
  const interval = isMean ? summary?.meanAngularErrorIntervalRad : summary?.medianAngularErrorIntervalRad
  if (value === undefined || value === null) return '–'
  return withHalfWidth(value, interval ?? null, toDegrees)
}

/** Calibration of the models that give a concentration. */
function renderCalibration(models: readonly ModelReport[]): string[] {
  const rows = models.flatMap(({ label, calibration }) => {
    if (calibration === null) return []
    const { radius50, radius90, coverage50, coverage90 } = calibration
    return [
      [
        label,
        `${(100 * coverage50).toFixed(1)} %`,
        `${(100 * coverage90).toFixed(1)} %`,
        toDegrees(radius50.predictedRad),
        toDegrees(radius50.observedRad),
        radius50.ratio.toFixed(3),
        toDegrees(radius90.predictedRad),
        toDegrees(radius90.observedRad),
        radius90.ratio.toFixed(3),
      ],
    ]
  })
  const head = [
    'calibration of kappa',
    ...[
      'within own 50 %',
      'own 90 %',
      '50 % predicted',
      'observed',
      'ratio',
      '90 % predicted',
      'observed',
      'ratio',
    ],
  ]
  return rows.length === 0 ? [] : [renderTable([head, ...rows])]
}

function withHalfWidth(
  value: number,
  interval: Interval | null,
  format: (radians: number) => string,
): string {
  return interval === null ? format(value) : `${format(value)} ± ${format((interval[1] - interval[0]) / 2)}`
}

function toDegrees(radians: number | null): string {
  return radians === null || Number.isNaN(radians) ? '–' : `${((radians * 180) / Math.PI).toFixed(1)}°`
}

function signed(value: number, digits: number): string {
  const size = Math.abs(value).toFixed(digits)
  if (Number(size) === 0) return size
  return `${value < 0 ? '−' : '+'}${size}`
}

function byPulses(summary: BinSummary): Row {
  const { from, to } = summary
  return { label: to === null ? `${from} and more` : `${from} to ${to - 1}`, summary }
}

function byDegrees(summary: BinSummary): Row {
  const [from, to] = [summary.from, summary.to ?? Math.PI].map((end) => Math.round((end * 180) / Math.PI))
  return { label: `${from}° to ${to}°`, summary }
}

function byTopology({ byTopology: summaries }: ModelReport): Row[] {
  return summaries.map((summary) => ({ label: summary.topology, summary }))
}
