import type { Panel } from '@grafana/schema'

/** One line of a panel. */
export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Ascending in time, Unix seconds; NaN where Prometheus has none. */
  readonly points: readonly { readonly at: number; readonly value: number }[]
}

interface Size {
  readonly width: number
  readonly height: number
}

const COLORS = [
  '#73bf69',
  '#f2cc0c',
  '#5794f2',
  '#ff9830',
  '#b877d9',
  '#37872d',
  '#fade2a',
  '#8ab8ff',
  '#f2495c',
]
const STEP_COLORS: Readonly<Record<string, string>> = { green: '#73bf69', orange: '#ff9830', red: '#f2495c' }
const LEGEND_PX = 14
const LEGENDS_MAX = 6

/** The inside of a panel as HTML. */
export function drawPanel(panel: Panel, series: readonly Series[], size: Size): string {
  const drawn = series.filter(({ points }) => points.some(({ value }) => Number.isFinite(value)))
  if (drawn.length === 0) return '<p>nothing yet</p>'
  switch (panel.type) {
    case 'stat':
      return drawStat(panel, drawn)
    case 'table':
      return drawTable(drawn)
    case 'heatmap':
      return drawHeatmap(drawn, size)
    default:
      return drawLines(panel, drawn, size)
  }
}

function drawStat(panel: Panel, series: readonly Series[]): string {
  return series
    .map((one) => {
      const value = lastOf(one)
      const steps = panel.fieldConfig?.defaults.thresholds?.steps ?? []
      const step = steps.findLast((candidate) => candidate.value === null || value >= candidate.value)
      const name = series.length > 1 ? `${toHtml(one.name)} ` : ''
      return `<div class="big" style="color:${STEP_COLORS[step?.color ?? 'green']};font-size:${series.length > 1 ? 18 : 32}px">${name}${format(value, panel)}</div>`
    })
    .join('')
}

function drawTable(series: readonly Series[]): string {
  const columns = [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))].filter(
    (name) => name !== '__name__' && name !== 'job',
  )
  const rows = series.map(
    ({ labels }) => `<tr>${columns.map((name) => `<td>${toHtml(labels[name] ?? '')}</td>`).join('')}</tr>`,
  )
  return `<table><tr>${columns.map((name) => `<th>${name}</th>`).join('')}</tr>${rows.join('')}</table>`
}

/** Cumulative buckets as Prometheus has them, drawn as counts of each bucket. */
function drawHeatmap(series: readonly Series[], { width, height }: Size): string {
  const buckets = series.toSorted((a, b) => edge(a) - edge(b))
  const times = [...new Set(buckets.flatMap(({ points }) => points.map(({ at }) => at)))].toSorted(
    (a, b) => a - b,
  )
  const at = buckets.map(({ points }) => new Map(points.map((point) => [point.at, point.value])))
  const cells = times.flatMap((time, column) =>
    buckets.map((_, row) => {
      const below = row === 0 ? 0 : (at[row - 1].get(time) ?? 0)
      return { column, row, count: Math.max(0, (at[row].get(time) ?? 0) - below) }
    }),
  )
  const most = Math.max(1, ...cells.map(({ count }) => count))
  const [w, h] = [(width - 50) / times.length, height / buckets.length]
  const rects = cells
    .filter(({ count }) => count > 0)
    .map(({ column, row, count }) => {
      const opacity = (0.15 + (0.85 * count) / most).toFixed(2)
      return `<rect x="${50 + column * w}" y="${height - (row + 1) * h}" width="${w}" height="${h - 1}" fill="#f2cc0c" opacity="${opacity}"/>`
    })
  const marks = buckets.map(
    (bucket, row) =>
      `<text x="0" y="${height - row * h - 2}" fill="#888" font-size="9">${bucket.labels['le']}</text>`,
  )
  return `<svg width="${width}" height="${height}">${rects.join('')}${marks.join('')}</svg>`
}

function drawLines(panel: Panel, series: readonly Series[], { width, height }: Size): string {
  const shown = series.slice(0, LEGENDS_MAX)
  const plotHeight = height - shown.length * LEGEND_PX - 4
  const points = series.flatMap((one) => one.points.filter(({ value }) => Number.isFinite(value)))
  const steps = (panel.fieldConfig?.defaults.thresholds?.steps ?? []).filter((step) => step.value !== null)
  const from = Math.min(...points.map(({ at }) => at))
  const span = Math.max(1, Math.max(...points.map(({ at }) => at)) - from)
  const top = 1.05 * Math.max(1e-9, ...points.map(({ value }) => value))
  const x = (at: number) => 60 + ((at - from) / span) * (width - 64)
  const y = (value: number) => plotHeight - (value / top) * (plotHeight - 6)
  const lines = series.map((one, index) => {
    const path = one.points
      .filter(({ value }) => Number.isFinite(value))
      .map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`)
    return `<polyline points="${path.join(' ')}" fill="none" stroke="${COLORS[index % COLORS.length]}" stroke-width="1.5"/>`
  })
  const limits = steps
    .filter((step) => (step.value ?? 0) <= top)
    .map((step) => {
      const at = y(step.value ?? 0)
      return `<line x1="60" x2="${width}" y1="${at}" y2="${at}" stroke="${STEP_COLORS[step.color]}" stroke-dasharray="6 4"/>`
    })
  const axis = [0, top / 2, top].map(
    (value) =>
      `<text x="0" y="${Math.max(10, y(value))}" fill="#888" font-size="10">${format(value, panel)}</text>`,
  )
  const legend = shown.map((one, index) => {
    const color = COLORS[index % COLORS.length]
    const row = plotHeight + 14 + index * LEGEND_PX
    return `<text x="4" y="${row}" fill="${color}" font-size="11">${toHtml(one.name)}  ${format(lastOf(one), panel)}</text>`
  })
  return `<svg width="${width}" height="${height}">${limits.join('')}${lines.join('')}${axis.join('')}${legend.join('')}</svg>`
}

function lastOf({ points }: Series): number {
  return points.findLast(({ value }) => Number.isFinite(value))?.value ?? Number.NaN
}

function edge({ labels }: Series): number {
  return labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le'])
}

/** A value in the unit of the panel, about as Grafana writes it. */
function format(value: number, panel: Panel): string {
  const { unit = 'short', decimals } = panel.fieldConfig?.defaults ?? {}
  const short = (scaled: number) =>
    decimals === undefined ? String(Number(scaled.toPrecision(3))) : scaled.toFixed(decimals)
  switch (unit) {
    case 's':
      return value < 1 ? `${short(value * 1_000)} ms` : `${short(value)} s`
    case 'percentunit':
      return `${short(value * 100)} %`
    case 'bytes':
      return `${short(value / 2 ** 20)} MiB`
    case 'evs':
      return `${short(value)} events/s`
    case 'reqps':
      return `${short(value)} req/s`
    case 'bool_yes_no':
      return value === 0 ? 'No' : 'Yes'
    default:
      return unit.startsWith('suffix:') ? `${short(value)}${unit.slice('suffix:'.length)}` : short(value)
  }
}

function toHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
