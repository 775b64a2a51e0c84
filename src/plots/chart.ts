/** The content of a figure as plain data. Every array of a series has one value per point; NaN leaves a gap. */

export interface Axis {
  /** Name of the quantity, without its unit. */
  readonly label: string
  /** Unit, printed in parentheses after the label, such as `deg`. */
  readonly unit?: string
  /** A logarithmic axis omits values of 0 and less. */
  readonly scale?: 'linear' | 'log'
  /** Ends of the axis; by default they follow from the data. */
  readonly min?: number
  readonly max?: number
  /** Distance between labelled ticks of a linear axis, such as 30 for degrees. */
  readonly tickStep?: number
  /** Labels instead of numbers, for categories. */
  readonly ticks?: readonly Tick[]
}

export interface Tick {
  readonly value: number
  readonly label: string
}

interface Named {
  /**
   * Series of one label share a colour, dash and marker in all panels of a figure, and one legend entry. A series without
   * a label is grey and has no legend entry.
   */
  readonly label?: string
}

/** Points joined by straight lines. */
export interface LineSeries extends Named {
  readonly kind: 'line'
  readonly x: ArrayLike<number>
  readonly y: ArrayLike<number>
}

/** A histogram: `values[i]` from `edges[i]` to `edges[i + 1]`, with the range `low` to `high` shaded. */
export interface StepSeries extends Named {
  readonly kind: 'step'
  /** [values + 1] */
  readonly edges: ArrayLike<number>
  readonly values: ArrayLike<number>
  readonly low?: ArrayLike<number>
  readonly high?: ArrayLike<number>
  /** Shade from the bottom of the panel to the values. */
  readonly isFilled?: boolean
}

/** The shaded range from `low` to `high`. */
export interface BandSeries extends Named {
  readonly kind: 'band'
  readonly x: ArrayLike<number>
  readonly low: ArrayLike<number>
  readonly high: ArrayLike<number>
}

/** Markers, with error bars from `low` to `high` and horizontal bars over the bin of each marker. */
export interface PointSeries extends Named {
  readonly kind: 'points'
  readonly x: ArrayLike<number>
  readonly y: ArrayLike<number>
  readonly low?: ArrayLike<number>
  readonly high?: ArrayLike<number>
  readonly xLow?: ArrayLike<number>
  readonly xHigh?: ArrayLike<number>
}

/** A thin grey line across the panel at one `x` or one `y`, with its text beside it. */
export interface RuleSeries {
  readonly kind: 'rule'
  readonly x?: number
  readonly y?: number
  readonly text?: string
}

export type Series = LineSeries | StepSeries | BandSeries | PointSeries | RuleSeries

/** One panel. */
export interface Chart {
  readonly title?: string
  readonly x: Axis
  readonly y: Axis
  /** Drawn in this order, so bands come before lines. */
  readonly series: readonly Series[]
}

/** A grid of panels with one title and one legend. */
export interface Figure {
  readonly title?: string
  /** One line below the title: the measurement and its sample. */
  readonly subtitle?: string
  readonly panels: readonly Chart[]
  /** Labels in the order of their colours, for figures that belong together; other labels follow. */
  readonly labels?: readonly string[]
  /** Number of columns; default 1. */
  readonly columns?: number
  /** Pixels, default 640 × 400. */
  readonly panelWidth?: number
  readonly panelHeight?: number
}
