import { renderFigure } from '../plots/figure.ts'

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
