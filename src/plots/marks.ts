import type { BandSeries, LineSeries, PointSeries, RuleSeries, Series, StepSeries } from './chart.ts'
import { FAINT, type Style } from './style.ts'
import { element, pixels, text } from './svg.ts'

/** Pixels of a panel's drawing area: 0 to `width`, 0 (top) to `height`. NaN where the axis cannot show the value. */
export interface Frame {
  readonly width: number
  readonly height: number
  x(value: number): number
  y(value: number): number
}

const BAND_OPACITY = 0.2

/** The elements of one series. */
export function drawSeries(series: Series, style: Style, frame: Frame): string[] {
  switch (series.kind) {
    case 'line':
      return drawLine(series, style, frame)
    case 'step':
      return drawStep(series, style, frame)
    case 'band':
      return drawBand(series, style, frame)
    case 'points':
      return drawPoints(series, style, frame)
    case 'rule':
      return drawRule(series, frame)
  }
}

function drawLine({ x, y }: LineSeries, style: Style, frame: Frame): string[] {
  const runs = runsOf(x.length, (i) => [frame.x(x[i]), frame.y(y[i])])
  return runs.map((run) => stroke(toPath(run), style))
}

function drawStep(series: StepSeries, style: Style, frame: Frame): string[] {
  const { edges, values, low, high, isFilled } = series
  const corners =
    (column: ArrayLike<number>) =>
    (i: number): [number, number] => {
      const bin = i >> 1
      return [frame.x(edges[bin + (i & 1)]), floored(frame.y(column[bin]), column[bin], frame)]
    }
  const drawn: string[] = []
  if (low && high) {
    drawn.push(...areas(2 * values.length, corners(low), corners(high), style))
  }
  const runs = runsOf(2 * values.length, corners(values))
  for (const run of runs) {
    if (isFilled) {
      const floor = [
        `L${pixels(run[run.length - 1][0])} ${frame.height}`,
        `L${pixels(run[0][0])} ${frame.height}Z`,
      ]
      drawn.push(
        element('path', { d: toPath(run) + floor.join(''), fill: style.color, 'fill-opacity': 0.12 }),
      )
    }
    drawn.push(stroke(toPath(run), style))
  }
  return drawn
}

/** On a logarithmic axis, an empty bin of a histogram is drawn at the lower end. */
function floored(pixel: number, value: number, { height }: Frame): number {
  return Number.isNaN(pixel) && value <= 0 ? height : pixel
}

function drawBand({ x, low, high }: BandSeries, style: Style, frame: Frame): string[] {
  const lower = (i: number): [number, number] => [frame.x(x[i]), floored(frame.y(low[i]), low[i], frame)]
  const upper = (i: number): [number, number] => [frame.x(x[i]), frame.y(high[i])]
  return areas(x.length, lower, upper, style)
}

type PointAt = (i: number) => [number, number]

function areas(count: number, lower: PointAt, upper: PointAt, { color }: Style): string[] {
  const drawn: string[] = []
  let from = 0
  for (let i = 0; i <= count; i++) {
    if (i < count && [...lower(i), ...upper(i)].every(Number.isFinite)) continue
    const indices = Array.from({ length: i - from }, (_, k) => from + k)
    if (indices.length > 1) {
      const outline = [...indices.map(upper), ...indices.toReversed().map(lower)]
      drawn.push(element('path', { d: `${toPath(outline)}Z`, fill: color, 'fill-opacity': BAND_OPACITY }))
    }
    from = i + 1
  }
  return drawn
}

function drawPoints(series: PointSeries, style: Style, frame: Frame): string[] {
  const { x, y, low, high, xLow, xHigh } = series
  const drawn: string[] = []
  const bar = (x1: number, y1: number, x2: number, y2: number) => {
    if ([x1, y1, x2, y2].every(Number.isFinite))
      drawn.push(element('line', { x1, y1, x2, y2, stroke: style.color, 'stroke-width': 1.3 }))
  }
  for (let i = 0; i < x.length; i++) {
    const at = { x: frame.x(x[i]), y: frame.y(y[i]) }
    if (!Number.isFinite(at.x) || !Number.isFinite(at.y)) continue
    if (low && high) bar(at.x, frame.y(low[i]), at.x, frame.y(high[i]))
    if (xLow && xHigh) bar(frame.x(xLow[i]), at.y, frame.x(xHigh[i]), at.y)
    drawn.push(drawMarker(at.x, at.y, style))
  }
  return drawn
}

function drawRule({ x, y, text: words }: RuleSeries, frame: Frame): string[] {
  const line = { stroke: FAINT, 'stroke-width': 1, 'stroke-dasharray': '3 3' }
  const label = { fill: FAINT, 'font-size': 11 }
  const drawn: string[] = []
  const [atX, atY] = [x === undefined ? Number.NaN : frame.x(x), y === undefined ? Number.NaN : frame.y(y)]
  if (Number.isFinite(atX)) {
    drawn.push(element('line', { x1: atX, y1: 0, x2: atX, y2: frame.height, ...line }))
    if (words) drawn.push(text(words, { x: atX + 4, y: 12, ...label }))
  }
  if (Number.isFinite(atY)) {
    drawn.push(element('line', { x1: 0, y1: atY, x2: frame.width, y2: atY, ...line }))
    if (words) drawn.push(text(words, { x: 4, y: atY - 4, ...label }))
  }
  return drawn
}

/** Runs of neighbouring points that the axes can show; a gap ends a run. */
function runsOf(count: number, pointAt: PointAt): [number, number][][] {
  const runs: [number, number][][] = [[]]
  for (let i = 0; i < count; i++) {
    const point = pointAt(i)
    if (point.every(Number.isFinite)) runs[runs.length - 1].push(point)
    else runs.push([])
  }
  return runs.filter((run) => run.length > 0)
}

function toPath(points: readonly [number, number][]): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${pixels(x)} ${pixels(y)}`).join('')
}

function stroke(d: string, { color, dash }: Style): string {
  return element('path', {
    d,
    fill: 'none',
    stroke: color,
    'stroke-width': 1.8,
    'stroke-linejoin': 'round',
    'stroke-dasharray': dash,
  })
}

export function drawMarker(x: number, y: number, { color, marker }: Style): string {
  const r = 3.6
  switch (marker) {
    case 'circle':
      return element('circle', { cx: x, cy: y, r, fill: color })
    case 'square':
      return element('rect', { x: x - 3.2, y: y - 3.2, width: 6.4, height: 6.4, fill: color })
    case 'triangle':
      return element('path', {
        d: `${toPath([
          [x, y - 4.4],
          [x + 4.2, y + 3.2],
          [x - 4.2, y + 3.2],
        ])}Z`,
        fill: color,
      })
    case 'diamond':
      return element('path', {
        d: `${toPath([
          [x, y - 4.6],
          [x + 4.6, y],
          [x, y + 4.6],
          [x - 4.6, y],
        ])}Z`,
        fill: color,
      })
  }
}
