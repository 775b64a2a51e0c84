import { describe, expect, it } from 'vitest'
import type { Chart, Series } from './chart.ts'
import { renderFigure } from './figure.ts'

const axes = { x: { label: 'x', min: 0, max: 10 }, y: { label: 'y', min: 0, max: 10 } }
const draw = (...series: Series[]) => renderFigure({ panels: [{ ...axes, series }] })
const count = (svg: string, what: string) => svg.split(what).length - 1

describe('renderFigure()', () => {
  it('gives one label the same colour in every panel and one legend entry', () => {
    const line = (label: string): Series => ({ kind: 'line', label, x: [0, 1], y: [0, 1] })
    const panels: Chart[] = [
      { ...axes, series: [line('a'), line('b')] },
      { ...axes, series: [line('b')] },
    ]
    const svg = renderFigure({ panels, columns: 2 })
    // One line of `a`, two of `b`, and their keys.
    expect(count(svg, 'stroke="#0072b2"')).toBe(2)
    expect(count(svg, 'stroke="#d55e00"')).toBe(3)
    expect(count(svg, '>b</text>')).toBe(1)
  })

  it('orders labels as the figure says', () => {
    const series: Series[] = [{ kind: 'line', label: 'b', x: [0, 1], y: [0, 1] }]
    const svg = renderFigure({ labels: ['a', 'b'], panels: [{ ...axes, series }] })
    expect(svg).toContain('#d55e00')
    expect(svg).not.toContain('#0072b2')
    expect(svg).not.toContain('>a</text>')
  })

  it('breaks a line where a value is missing', () => {
    const svg = draw({ kind: 'line', x: [0, 1, 2, 3, 4], y: [1, 1, Number.NaN, 1, 1] })
    expect(count(svg, '<path')).toBe(2)
  })

  it('omits values that a logarithmic axis cannot show', () => {
    const x = { label: 'x', scale: 'log' } as const
    const series: Series[] = [{ kind: 'points', x: [-1, 0, 1, 10], y: [1, 1, 1, 1] }]
    const svg = renderFigure({ panels: [{ x, y: axes.y, series }] })
    expect(count(svg, '<circle')).toBe(2)
    expect(svg).not.toMatch(/NaN|Infinity/)
  })

  it('draws an empty bin of a histogram at the lower end of a logarithmic axis', () => {
    const y = { label: 'events', scale: 'log', min: 1, max: 100 } as const
    const series: Series[] = [{ kind: 'step', edges: [0, 5, 10], values: [100, 0] }]
    expect(renderFigure({ panels: [{ x: axes.x, y, series }] })).toMatch(
      /d="M0 0L[\d.]+ 0L[\d.]+ 338L[\d.]+ 338"/,
    )
  })

  it('accepts empty data', () => {
    expect(draw({ kind: 'line', x: [], y: [] })).not.toMatch(/NaN|Infinity/)
    expect(renderFigure({ panels: [] })).toMatch(/<\/svg>/)
  })

  it('escapes text', () => {
    const svg = renderFigure({ title: '<b> & "c"', panels: [] })
    expect(svg).toContain('&lt;b&gt; &amp; &quot;c&quot;')
    expect(svg).not.toContain('<b>')
  })

  it('is the same for the same data', () => {
    const series: Series = { kind: 'band', label: 'a', x: [0, 1], low: [0, 0], high: [1, 2] }
    expect(draw(series)).toBe(draw(series))
  })

  it('refuses a logarithmic axis from 0', () => {
    const x = { label: 'error', scale: 'log', min: 0 } as const
    expect(() => renderFigure({ panels: [{ ...axes, x, series: [] }] })).toThrow(
      'the logarithmic axis "error" cannot begin at 0',
    )
  })
})
