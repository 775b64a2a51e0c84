import type { DirectionColumns } from '../event/direction.ts'
import { renderFigure } from '../plots/figure.ts'
import { FAINT, INK, PAPER } from '../plots/style.ts'
import { element, escapeText, pixels, text } from '../plots/svg.ts'

const TAU = 2 * Math.PI
const COLUMNS = 48
const ROWS = 24

/** How many directions fell into each of 1152 cells of equal area. */
export class SkyCounts {
  /** Row by row from zenith 0, each from azimuth 0. */
  readonly cells = new Float64Array(COLUMNS * ROWS)
  events = 0

  add({ azimuth, zenith }: DirectionColumns): void {
    for (let i = 0; i < azimuth.length; i++) {
      const column = Math.floor((azimuth[i] / TAU) * COLUMNS)
      const row = Math.floor(((1 - Math.cos(zenith[i])) / 2) * ROWS)
      if (Number.isNaN(column + row)) continue
      this.cells[clamp(row, ROWS) * COLUMNS + clamp(column, COLUMNS)]++
      this.events++
    }
  }
}

function clamp(index: number, size: number): number {
  return Math.min(size - 1, Math.max(0, index))
}

const [WIDTH, HEIGHT] = [800, 500]
const CENTRE = { x: WIDTH / 2, y: 250 }
const RADIUS = 172
/** From none to most: light to dark, so that grey print shows it too. */
const [LIGHT, DARK] = [
  [237, 243, 250],
  [8, 48, 107],
] as const

/**
 * The whole sky of detector coordinates in Hammer's projection, which keeps areas: zenith 0 (straight down-going) on top,
 * azimuth 180° in the middle. The darker a cell, the more directions point to it.
 */
export function renderSky(counts: SkyCounts, subtitle: string): string {
  const most = counts.cells.reduce((max, count) => Math.max(max, count), 0)
  const cells = Array.from(counts.cells, (count, cell) =>
    element('path', { d: cellPath(cell), fill: colour(most === 0 ? 0 : count / most) }),
  )
  const size = { width: WIDTH, height: HEIGHT }
  const root = {
    xmlns: 'http://www.w3.org/2000/svg',
    ...size,
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: 'img',
  }
  const font = { 'font-family': 'Helvetica, Arial, sans-serif', fill: INK }
  const content = [
    element('title', {}, [escapeText('Where the neutrinos came from')]),
    element('rect', { ...size, fill: PAPER }),
    text('Where the neutrinos came from', { x: 16, y: 28, 'font-size': 17, 'font-weight': 600 }),
    text(subtitle, { x: 16, y: 47, 'font-size': 12.5, fill: FAINT }),
    element('g', { stroke: 'none' }, cells),
    ...graticule(),
    ...key(most),
  ]
  return `${element('svg', { ...root, ...font }, content)}\n`
}

function cellPath(cell: number): string {
  const [column, row] = [cell % COLUMNS, Math.floor(cell / COLUMNS)]
  const zenithAt = (r: number) => Math.acos(1 - (2 * r) / ROWS)
  const azimuthAt = (c: number) => (c / COLUMNS) * TAU
  const corners = [
    project(azimuthAt(column), zenithAt(row)),
    project(azimuthAt(column + 1), zenithAt(row)),
    project(azimuthAt(column + 1), zenithAt(row + 1)),
    project(azimuthAt(column), zenithAt(row + 1)),
  ]
  return `${toPath(corners)}Z`
}

/** Hammer's projection: E. Hammer, Petermanns Mitteilungen 38 (1892). Pixels. */
function project(azimuth: number, zenith: number): [number, number] {
  const latitude = Math.PI / 2 - zenith
  const half = (azimuth - Math.PI) / 2
  const scale = RADIUS / Math.sqrt(1 + Math.cos(latitude) * Math.cos(half))
  const x = CENTRE.x + 2 * scale * Math.cos(latitude) * Math.sin(half)
  return [x, CENTRE.y - scale * Math.sin(latitude)]
}

function graticule(): string[] {
  const line = (from: number, to: number, at: (t: number) => [number, number]) =>
    element('path', {
      d: toPath(Array.from({ length: 61 }, (_, i) => at(from + ((to - from) * i) / 60))),
      fill: 'none',
      stroke: FAINT,
      'stroke-width': 0.5,
    })
  const drawn: string[] = []
  for (let azimuth = 0; azimuth <= 360; azimuth += 60) {
    drawn.push(line(0, Math.PI, (zenith) => project(radians(azimuth), zenith)))
    const [x, y] = project(radians(azimuth), Math.PI / 2)
    drawn.push(text(`${azimuth}°`, { x: x + 3, y: y - 3, 'font-size': 10, fill: FAINT }))
  }
  for (const zenith of [30, 60, 90, 120, 150]) {
    drawn.push(line(0, TAU, (azimuth) => project(azimuth, radians(zenith))))
    const [x, y] = project(0, radians(zenith))
    const label = { x: x - 6, y: y + 3, 'font-size': 10, fill: FAINT, 'text-anchor': 'end' }
    drawn.push(text(`zenith ${zenith}°`, label))
  }
  return drawn
}

function key(most: number): string[] {
  const [x, y, width] = [WIDTH - 236, HEIGHT - 26, 160]
  const steps = Array.from({ length: 20 }, (_, i) =>
    element('rect', {
      x: x + (i * width) / 20,
      y,
      width: width / 20 + 0.5,
      height: 10,
      fill: colour(i / 19),
    }),
  )
  const label = { y: y + 9, 'font-size': 11, fill: FAINT }
  return [
    ...steps,
    text('0', { ...label, x: x - 12 }),
    text(`${most} events`, { ...label, x: x + width + 6 }),
  ]
}

function colour(share: number): string {
  const mixed = LIGHT.map((light, i) => Math.round(light + (DARK[i] - light) * Math.sqrt(share)))
  return `rgb(${mixed.join(',')})`
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180
}

function toPath(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${pixels(x)} ${pixels(y)}`).join('')
}

const BINS = 60
const BIN_DEGREES = 180 / BINS
const DEGREES = 180 / Math.PI

/** How many events had which angular error, in 60 bins of 3°. */
export class ErrorCounts {
  readonly bins = new Float64Array(BINS)
  events = 0
  #sum = 0

  /** Radians; NaN where the truth is unknown. */
  add(errors: Float64Array): void {
    for (const error of errors) {
      if (Number.isNaN(error)) continue
      this.bins[Math.min(BINS - 1, Math.floor((error * DEGREES) / BIN_DEGREES))]++
      this.events++
      this.#sum += error
    }
  }

  get meanRad(): number {
    return this.#sum / this.events
  }
}

/** Histogram of the angular error beside what guessing would give. */
export function renderErrors(counts: ErrorCounts, subtitle: string): string {
  const edges = Array.from({ length: BINS + 1 }, (_, i) => i * BIN_DEGREES)
  const chance = edges.slice(1).map((to, i) => {
    const share = (Math.cos(edges[i] / DEGREES) - Math.cos(to / DEGREES)) / 2
    return share * counts.events
  })
  const mean = counts.meanRad * DEGREES
  return renderFigure({
    title: 'Angular error',
    subtitle: `${subtitle}; mean ${counts.meanRad.toFixed(3)} rad (${mean.toFixed(1)}°)`,
    panels: [
      {
        x: {
          label: 'opening angle between prediction and truth',
          unit: 'deg',
          min: 0,
          max: 180,
          tickStep: 30,
        },
        y: { label: `events per ${BIN_DEGREES}°`, min: 0 },
        series: [
          { kind: 'step', label: 'predictions', edges, values: counts.bins, isFilled: true },
          { kind: 'step', label: 'a guess at random', edges, values: chance },
          { kind: 'rule', x: mean, text: 'mean' },
        ],
      },
    ],
  })
}
