/** Style of the series of one label: colour, dash and marker differ, so labels also differ in grey print. */
export interface Style {
  readonly color: string
  /** SVG's stroke-dasharray; undefined for a solid line. */
  readonly dash: string | undefined
  readonly marker: 'circle' | 'square' | 'triangle' | 'diamond'
}

/** Colours that are distinguishable on white with any common colour vision: Okabe and Ito, jfly.uni-koeln.de/color. */
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000']
const DASHES = [undefined, '7 3', '2 2.5', '9 3 2 3', '12 4']
const MARKERS = ['circle', 'square', 'triangle', 'diamond'] as const

export const INK = '#1a1a1a'
export const FAINT = '#6b6b6b'
export const GRID = '#e3e3e3'
export const PAPER = '#ffffff'

export const UNNAMED: Style = { color: '#8a8a8a', dash: '4 3', marker: 'circle' }

export function styleOf(index: number): Style {
  return {
    color: COLORS[index % COLORS.length],
    dash: DASHES[index % DASHES.length],
    marker: MARKERS[index % MARKERS.length],
  }
}
