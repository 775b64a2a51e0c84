import type { Axis, Chart } from './chart.ts'
import { drawSeries, type Frame } from './marks.ts'
import { buildScale, type Scale, valuesAlong } from './scale.ts'
import { GRID, INK, type Style } from './style.ts'
import { element, text, textWidth } from './svg.ts'

const TICK_SIZE = 11.5
const LABEL_SIZE = 13
const TITLE_SIZE = 13.5

export interface PanelSize {
  readonly width: number
  readonly height: number
}

/** One chart with its axes, in a group whose origin is the panel's upper left corner. */
export function drawPanel(chart: Chart, size: PanelSize, styleOf: (label?: string) => Style): string {
  const x = buildScale(chart.x, valuesAlong('x', chart.series))
  const y = buildScale(chart.y, valuesAlong('y', chart.series))
  const widestTick = Math.max(...y.ticks.map(({ label }) => textWidth(label, TICK_SIZE)), 0)
  const left = 34 + widestTick
  const top = chart.title ? 30 : 12
  const frame: Frame = {
    width: size.width - left - 20,
    height: size.height - top - 50,
    x: (value) => x.toShare(value) * frame.width,
    y: (value) => (1 - y.toShare(value)) * frame.height,
  }
  // A nested <svg> clips everything outside the axes.
  const inside = element(
    'svg',
    { x: 0, y: 0, width: frame.width, height: frame.height, overflow: 'hidden' },
    [
      ...drawGrid(x, y, frame),
      ...chart.series.flatMap((each) =>
        drawSeries(each, styleOf('label' in each ? each.label : undefined), frame),
      ),
    ],
  )
  const border = { x: 0, y: 0, width: frame.width, height: frame.height, fill: 'none', stroke: INK }
  return element('g', { transform: `translate(${left.toFixed(1)} ${top})` }, [
    ...(chart.title
      ? [text(chart.title, { x: 0, y: -10, 'font-size': TITLE_SIZE, 'font-weight': 600 })]
      : []),
    inside,
    element('rect', border),
    ...drawXAxis(chart.x, x, frame),
    ...drawYAxis(chart.y, y, frame, widestTick),
  ])
}

function drawGrid(x: Scale, y: Scale, { width, height, ...frame }: Frame): string[] {
  const line = { stroke: GRID, 'stroke-width': 1 }
  return [
    ...x.ticks.map(({ value }) => ({ x1: frame.x(value), y1: 0, x2: frame.x(value), y2: height })),
    ...y.ticks.map(({ value }) => ({ x1: 0, y1: frame.y(value), x2: width, y2: frame.y(value) })),
  ].map((ends) => element('line', { ...ends, ...line }))
}

function drawXAxis(axis: Axis, { ticks, minorTicks }: Scale, frame: Frame): string[] {
  const mark = (value: number, length: number) =>
    element('line', {
      x1: frame.x(value),
      y1: frame.height,
      x2: frame.x(value),
      y2: frame.height + length,
      stroke: INK,
    })
  return [
    ...minorTicks.map((value) => mark(value, 3)),
    ...ticks.map(({ value }) => mark(value, 6)),
    ...ticks.map(({ value, label }) =>
      text(label, {
        x: frame.x(value),
        y: frame.height + 19,
        'font-size': TICK_SIZE,
        'text-anchor': 'middle',
      }),
    ),
    text(axisLabel(axis), {
      x: frame.width / 2,
      y: frame.height + 40,
      'font-size': LABEL_SIZE,
      'text-anchor': 'middle',
    }),
  ]
}

function drawYAxis(axis: Axis, { ticks, minorTicks }: Scale, frame: Frame, widestTick: number): string[] {
  const mark = (value: number, length: number) =>
    element('line', { x1: -length, y1: frame.y(value), x2: 0, y2: frame.y(value), stroke: INK })
  return [
    ...minorTicks.map((value) => mark(value, 3)),
    ...ticks.map(({ value }) => mark(value, 6)),
    ...ticks.map(({ value, label }) =>
      text(label, { x: -9, y: frame.y(value) + 4, 'font-size': TICK_SIZE, 'text-anchor': 'end' }),
    ),
    text(axisLabel(axis), {
      transform: `translate(${(-widestTick - 20).toFixed(1)} ${(frame.height / 2).toFixed(1)}) rotate(-90)`,
      'font-size': LABEL_SIZE,
      'text-anchor': 'middle',
    }),
  ]
}

function axisLabel({ label, unit }: Axis): string {
  return unit ? `${label} (${unit})` : label
}
