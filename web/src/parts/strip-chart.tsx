import { useEffect, useRef } from 'react'
import UPlot from 'uplot'
import type { Strip } from '../../../src/display/messages.ts'
import { withPlainCanvases } from '../plain-canvas.ts'
import { useSize } from './use-size.ts'

export interface StripLine {
  readonly of: (strip: Strip) => number | null
  /** Drawn dashed and dimmer. */
  readonly isSecond: boolean
}

interface StripChartProps {
  readonly strips: readonly Strip[]
  readonly lines: readonly StripLine[]
  readonly topMin: number
  readonly name: string
  /** A value on the scale, with its unit if the heading has none. */
  readonly format: (value: number) => string
}

const SPAN_S = 180
/** Ticks of the time axis, minutes ago. */
const MINUTES = [2, 1]
const LINE = '#dfe6ee'
const SECOND_LINE = '#8794a6'
const FILL = 'rgb(223 230 238 / 7%)'
const GRID = '#1d2530'
const TEXT = '#8d99a9'

export function StripChart({ strips, lines, topMin, name, format }: StripChartProps) {
  const [box, { width, height }] = useSize<HTMLDivElement>()
  const plot = useRef<UPlot>(undefined)
  useEffect(() => {
    const target = box.current
    if (!target || width < 20 || height < 20) return
    const options = chartOptions({ lines, topMin, format }, { width, height })
    const made = withPlainCanvases(() => new UPlot(options, [[]], target))
    plot.current = made
    return () => {
      plot.current = undefined
      made.destroy()
    }
  }, [box, width, height, lines, topMin, format])
  // After every render: new figures, or a new plot.
  useEffect(() => {
    const last = (strips.at(-1)?.atMs ?? 0) / 1_000
    const recent = strips.filter((strip) => strip.atMs / 1_000 >= last - SPAN_S - 2)
    plot.current?.setData([
      recent.map((strip) => strip.atMs / 1_000),
      ...lines.map((line) => recent.map((strip) => line.of(strip))),
    ])
    plot.current?.setScale('x', { min: last - SPAN_S, max: last })
  })
  return (
    <div ref={box} className="chart" role="img" aria-label={`${name} over the last ${SPAN_S / 60} minutes`} />
  )
}

function chartOptions(
  { lines, topMin, format }: Pick<StripChartProps, 'lines' | 'topMin' | 'format'>,
  size: { width: number; height: number },
): UPlot.Options {
  const type = getComputedStyle(document.body).fontFamily
  const textPx = Math.max(10, Math.round(size.height / 8))
  return {
    ...size,
    padding: [6, 2, 0, 0],
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { time: true, auto: false },
      y: { range: (_plot, _min, max) => [0, Math.max(topMin, (max ?? 0) * 1.12)] },
    },
    axes: [
      {
        size: textPx * 1.5,
        gap: 2,
        font: `${textPx}px ${type}`,
        stroke: TEXT,
        grid: { stroke: GRID, width: 1 },
        ticks: { show: false },
        splits: ({ scales }) => MINUTES.map((minutes) => (scales['x']?.max ?? 0) - 60 * minutes),
        values: () => MINUTES.map((minutes) => `−${minutes}\u2009min`),
      },
      {
        size: textPx * 4,
        gap: 4,
        space: textPx * 2,
        font: `${textPx}px ${type}`,
        stroke: TEXT,
        grid: { stroke: GRID, width: 1 },
        ticks: { show: false },
        values: (_plot, values) => values.map(format),
      },
    ],
    series: [
      {},
      ...lines.map(({ isSecond }) => ({
        stroke: isSecond ? SECOND_LINE : LINE,
        width: isSecond ? 1 : 1.5,
        ...(isSecond ? { dash: [4, 3] } : { fill: FILL }),
        points: { show: false },
      })),
    ],
  }
}
