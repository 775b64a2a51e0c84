/** What a figure shows, as plain data. Every array of a series has one value per point; NaN leaves a gap. */

export interface Axis {
  /** What is drawn, without its unit. */
  readonly label: string
  /** Stands in parentheses behind the label, such as `deg`. */
  readonly unit?: string
  /** A logarithmic axis leaves out values of 0 and less. */
  readonly scale?: 'linear' | 'log'
  /** Ends of the axis; where left out they follow from the data. */
  readonly min?: number
  readonly max?: number
  /** Distance between labelled ticks of a linear axis, such as 30 for degrees. */
  readonly tickStep?: number
  /** Labels in place of numbers, for categories. */
  readonly ticks?: readonly Tick[]
}

export interface Tick {
  readonly value: number
  readonly label: string
}

interface Named {
  /**
   * Series of one label share a colour, dash and marker in all panels of a figure, and one entry of its legend. A series
   * without a label is grey and in no legend.
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

/** Markers, with error bars from `low` to `high` and bars over the bin that each stands for. */
export interface PointSeries extends Named {
  readonly kind: 'points'
  readonly x: ArrayLike<number>
  readonly y: ArrayLike<number>
  readonly low?: ArrayLike<number>
  readonly high?: ArrayLike<number>
  readonly xLow?: ArrayLike<number>
  readonly xHigh?: ArrayLike<number>
}

/** A thin grey line from edge to edge of the panel at one `x` or one `y`, with its words beside it. */
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

/** Panels beside and below each other, with one title and one legend. */
export interface Figure {
  readonly title?: string
  /** One line below the title: what was measured, on how much. */
  readonly subtitle?: string
  readonly panels: readonly Chart[]
  /** Labels in the order in which they take their colours, for figures that go together; others follow. */
  readonly labels?: readonly string[]
  /** Panels beside each other; default 1. */
  readonly columns?: number
  /** Pixels, default 640 × 400. */
  readonly panelWidth?: number
  readonly panelHeight?: number
}
