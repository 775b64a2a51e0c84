import { PUBLISHED, type Published } from './published.ts'
import type { EventStatistics } from './statistics.ts'

/** One figure of a set of events and the published figure. */
export interface ComparisonRow extends Omit<Published, 'of'> {
  readonly simulated: number
  /** Simulated ÷ published. */
  readonly ratio: number
  /** `unknown`: the events do not determine it, such as the line fit's error without truth or extremes of a few events. */
  readonly verdict: 'agrees' | 'differs' | 'unknown'
}

/** Compares the events with the published figures. */
export function compareWithPublished(statistics: EventStatistics): ComparisonRow[] {
  return PUBLISHED.map(({ of, ...known }) => {
    const simulated = of(statistics)
    const ratio = simulated / known.published
    const isEnough = statistics.events >= (known.eventsMin ?? 0)
    return { ...known, simulated, ratio, verdict: isEnough ? judge(ratio, known.tolerance) : 'unknown' }
  })
}

function judge(ratio: number, tolerance: number): ComparisonRow['verdict'] {
  if (!Number.isFinite(ratio)) return 'unknown'
  return Math.abs(ratio - 1) <= tolerance ? 'agrees' : 'differs'
}

/** The comparison as a plain-text table, followed by the number of figures that agree. */
export function renderComparison(rows: readonly ComparisonRow[]): string {
  const cells = [
    ['quantity', 'published', 'simulated', 'ratio', 'within', 'verdict', 'published of'],
    ...rows.map(({ quantity, unit, published, simulated, ratio, tolerance, verdict, source }) => [
      unit ? `${quantity} (${unit})` : quantity,
      toText(published),
      toText(simulated),
      Number.isFinite(ratio) ? ratio.toFixed(3) : '-',
      `${Math.round(tolerance * 100)} %`,
      verdict,
      source,
    ]),
  ]
  const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)))
  const isNumber = (column: number) => column >= 1 && column <= 4
  const lines = cells.map((line) =>
    line
      .map((cell, i) => (isNumber(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n\n${summarise(rows)}`
}

function summarise(rows: readonly ComparisonRow[]): string {
  const known = rows.filter(({ verdict }) => verdict !== 'unknown')
  const differing = known.filter(({ verdict }) => verdict === 'differs')
  const named = differing.map(({ quantity }) => quantity).join('; ')
  return `${known.length - differing.length} of ${known.length} figures agree${named && `; these differ: ${named}`}`
}

function toText(value: number): string {
  if (!Number.isFinite(value)) return '-'
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)))
}
