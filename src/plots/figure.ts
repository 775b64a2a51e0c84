import type { Figure, Series } from './chart.ts'
import { drawMarker } from './marks.ts'
import { drawPanel } from './panel.ts'
import { FAINT, INK, PAPER, type Style, styleOf, UNNAMED } from './style.ts'
import { element, escapeText, text, textWidth } from './svg.ts'

const FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
const MARGIN = 16
const LEGEND_SIZE = 12.5
const LEGEND_ROW = 20

/**
 * A figure as a complete SVG file: white background, no scripts, no external fonts or files, the same bytes for the
 * same data. At most seven labels are distinguished by colour.
 */
export function renderFigure(figure: Figure): string {
  const { panels, columns = 1, panelWidth = 640, panelHeight = 400 } = figure
  const across = Math.min(columns, panels.length)
  const width = across * panelWidth + 2 * MARGIN
  const entries = legendOf(figure)
  const order = new Set([...(figure.labels ?? []), ...entries.map(({ label }) => label)])
  const styles = new Map([...order].map((label, index) => [label, styleOf(index)]))
  const style = (label?: string) => (label === undefined ? UNNAMED : (styles.get(label) ?? UNNAMED))
  const head = drawHead(figure, width)
  const legend = drawLegend(entries, style, { width, top: head.height })
  const top = head.height + legend.height
  const rows = Math.ceil(panels.length / Math.max(1, across))
  const height = top + rows * panelHeight + MARGIN
  const drawn = panels.map((chart, index) => {
    const x = MARGIN + (index % across) * panelWidth
    const y = top + Math.floor(index / across) * panelHeight
    return element('g', { transform: `translate(${x} ${y})` }, [
      drawPanel(chart, { width: panelWidth, height: panelHeight }, style),
    ])
  })
  const name = figure.title ?? panels[0]?.title ?? 'figure'
  const root = {
    xmlns: 'http://www.w3.org/2000/svg',
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    'font-family': FONT,
    fill: INK,
  }
  const paper = element('rect', { width, height, fill: PAPER })
  const title = element('title', {}, [escapeText(name)])
  return `${element(
    'svg',
    root,
    [title, paper, ...head.drawn, ...legend.drawn, ...drawn].map((line) => `\n${line}`),
  )}\n`
}

interface Entry {
  readonly label: string
  readonly kinds: ReadonlySet<Series['kind']>
}

function legendOf({ panels }: Figure): Entry[] {
  const kinds = new Map<string, Set<Series['kind']>>()
  for (const series of panels.flatMap((panel) => panel.series)) {
    if (series.kind === 'rule' || series.label === undefined) continue
    const known = kinds.get(series.label) ?? new Set()
    kinds.set(series.label, known.add(series.kind))
  }
  return [...kinds].map(([label, found]) => ({ label, kinds: found }))
}

function drawHead({ title, subtitle }: Figure, width: number): { drawn: string[]; height: number } {
  const drawn: string[] = []
  let y = MARGIN
  if (title) {
    y += 16
    drawn.push(text(title, { x: MARGIN, y, 'font-size': fitted(title, 17, width), 'font-weight': 600 }))
    y += 4
  }
  if (subtitle) {
    y += 15
    drawn.push(text(subtitle, { x: MARGIN, y, 'font-size': fitted(subtitle, 12.5, width), fill: FAINT }))
    y += 3
  }
  return { drawn, height: drawn.length > 0 ? y + 8 : MARGIN }
}

/** Font size at which a line of text fits. */
function fitted(words: string, size: number, width: number): number {
  return Math.min(size, (size * (width - 2 * MARGIN)) / textWidth(words, size))
}

interface LegendPlace {
  readonly width: number
  readonly top: number
}

/** Legend entries in rows above the panels, where they hide no data. A single unnamed series has no legend. */
function drawLegend(
  entries: readonly Entry[],
  style: (label: string) => Style,
  { width, top }: LegendPlace,
): { drawn: string[]; height: number } {
  if (entries.length === 0) return { drawn: [], height: 0 }
  const drawn: string[] = []
  let [x, y] = [MARGIN, top + 6]
  for (const { label, kinds } of entries) {
    const entryWidth = 36 + textWidth(label, LEGEND_SIZE) + 22
    if (x > MARGIN && x + entryWidth > width - MARGIN) [x, y] = [MARGIN, y + LEGEND_ROW]
    drawn.push(...drawKey({ x, y, kinds, style: style(label) }))
    drawn.push(text(label, { x: x + 36, y: y + 4, 'font-size': LEGEND_SIZE }))
    x += entryWidth
  }
  return { drawn, height: y - top + LEGEND_ROW }
}

interface Key {
  readonly x: number
  readonly y: number
  readonly kinds: ReadonlySet<Series['kind']>
  readonly style: Style
}

function drawKey({ x, y, kinds, style }: Key): string[] {
  const { color, dash } = style
  const drawn: string[] = []
  if (kinds.has('band'))
    drawn.push(element('rect', { x, y: y - 6, width: 28, height: 12, fill: color, 'fill-opacity': 0.2 }))
  if (kinds.has('line') || kinds.has('step')) {
    const ends = { x1: x, y1: y, x2: x + 28, y2: y }
    drawn.push(element('line', { ...ends, stroke: color, 'stroke-width': 1.8, 'stroke-dasharray': dash }))
  }
  if (kinds.has('points')) drawn.push(drawMarker(x + 14, y, style))
  return drawn
}
