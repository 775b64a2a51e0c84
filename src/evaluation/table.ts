import type { AngularErrorSummary, BinSummary } from './angular-errors.ts'
import type { ModelEvaluation } from './evaluate.ts'

const NUMBER = /^[–\d.,±°% -]*$/

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

/** Angular errors of several models side by side, then by pulse count and by true zenith, in degrees. */
export function renderEvaluations(evaluations: readonly ModelEvaluation[]): string {
  const parts = [renderOverview(evaluations)]
  if (evaluations.some(({ error }) => error)) {
    parts.push(renderBins('mean error by pulses', evaluations, (model) => model.byPulses, toPulseRange))
    parts.push(renderBins('mean error by true zenith', evaluations, (model) => model.byZenith, toDegreeRange))
  }
  return parts.join('\n\n')
}

function renderOverview(evaluations: readonly ModelEvaluation[]): string {
  const head = ['model', 'events', 'failed', 'mean (rad)', 'mean', 'median', 'p10', 'p90', 'events/s']
  const rows = evaluations.map((evaluation) => {
    const failed = Object.values(evaluation.failed).reduce((sum, count) => sum + count, 0)
    const { error } = evaluation
    const angles = (['mean', 'median', 'p10', 'p90'] as const).map((key) =>
      error ? toDegrees(error[key]) : '–',
    )
    const radians = error ? `${error.mean.toFixed(4)} ± ${error.meanUncertainty.toFixed(4)}` : '–'
    const name = `${evaluation.model} ${evaluation.version}`
    const speed = Math.round(evaluation.eventsPerSecond).toString()
    return [name, String(evaluation.predicted), String(failed), radians, ...angles, speed]
  })
  return renderTable([head, ...rows])
}

function renderBins(
  title: string,
  evaluations: readonly ModelEvaluation[],
  binsOf: (evaluation: ModelEvaluation) => readonly BinSummary[],
  toLabel: (bin: BinSummary) => string,
): string {
  const head = [title, 'events', ...evaluations.map(({ model }) => model)]
  const bins = binsOf(evaluations[0])
  const rows = bins.flatMap((bin, index) => {
    const summaries = evaluations.map((evaluation) => binsOf(evaluation)[index].summary)
    const events = Math.max(...summaries.map((summary) => summary?.events ?? 0))
    if (events === 0) return []
    return [[toLabel(bin), String(events), ...summaries.map(toMean)]]
  })
  return renderTable([head, ...rows])
}

function toMean(summary: AngularErrorSummary | undefined): string {
  return summary ? toDegrees(summary.mean) : '–'
}

function toDegrees(radians: number): string {
  return `${((radians * 180) / Math.PI).toFixed(1)}°`
}

function toPulseRange({ from, to }: BinSummary): string {
  return to >= 1_000_000 ? `${from} and more` : `${from} to ${to - 1}`
}

function toDegreeRange({ from, to }: BinSummary): string {
  return `${toDegrees(from)} to ${toDegrees(to)}`
}
