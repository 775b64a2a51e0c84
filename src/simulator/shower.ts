import { ABSORPTION, BRIGHTNESS, DISTANCES, ONSET, RATE, SHAPE } from './shower-light-table.ts'

/**
 * Depth of a shower's light behind its beginning: a gamma distribution whose shape grows with the logarithm of the energy.
 * Source: arXiv:1210.5140 (electrons and charged pions), as in ppc (icetray); radiation length of ice of 0.9216 g/cm³.
 */
const RADIATION_LENGTH_M = (0.3965 * 0.91) / 0.9216
const ELECTROMAGNETIC = { shape: 2.018, growth: 0.632, scaleM: RADIATION_LENGTH_M / 0.632 }
const HADRONIC = { shape: 1.584, growth: 0.4189, scaleM: RADIATION_LENGTH_M / 0.3383 }

/** Showers of less are one point, at their mean depth; of more, so many points of equal light. */
const EXTENDED_FROM_GEV = 1e4
const POINTS = 3
/** Normal deviates in the middle of three equal shares. */
const DEVIATES = [-0.9674, 0, 0.9674]

/** Points of light that stand for the length of a shower. Used again for every shower. */
export class ShowerPoints {
  count = 0
  /** m behind the shower's beginning. [count] */
  readonly depths: Float64Array = new Float64Array(POINTS)

  place(energyGev: number, isHadronic: boolean): void {
    const { shape, growth, scaleM } = isHadronic ? HADRONIC : ELECTROMAGNETIC
    const k = shape + growth * Math.log(Math.max(1, energyGev))
    if (energyGev < EXTENDED_FROM_GEV) {
      this.count = 1
      this.depths[0] = k * scaleM
      return
    }
    this.count = POINTS
    // Quantiles of the gamma distribution by Wilson and Hilferty's cube root.
    const spread = 1 / (9 * k)
    for (let i = 0; i < POINTS; i++)
      this.depths[i] = k * scaleM * (1 - spread + DEVIATES[i] * Math.sqrt(spread)) ** 3
  }
}

/** Bins of the tables below: the share 1 / (1 + d / λ) of light that kept its direction, and the cosine to the axis. */
const SHARE_BINS = 64
const COSINE_BINS = 32

/** Light in a direction relative to the mean of all directions at the same distance. */
export const showerBrightness: Float64Array = tabulate(BRIGHTNESS)
/** Shape of the gamma distribution of the delay behind the onset. */
export const showerDelayShape: Float64Array = tabulate(SHAPE)
/** Its rate without absorption, in light speed over effective scattering length; below 0 where absorption makes it up. */
export const showerDelayRate: Float64Array = tabulate(RATE).map((rate) => rate - ABSORPTION)
/** Least delay, in effective scattering length over light speed. */
export const showerOnset: Float64Array = tabulate(ONSET.map((onset) => [onset, onset]))

/** Bin of the four tables. `share` above 0 and up to 1; `forward`: cosine of the angle between the shower and the way to the sensor. */
export function showerBin(share: number, forward: number): number {
  const row = (share * SHARE_BINS) | 0
  const column = ((forward + 1) * (COSINE_BINS / 2)) | 0
  return (
    (row < SHARE_BINS ? row : SHARE_BINS - 1) * COSINE_BINS +
    (column < COSINE_BINS ? column : COSINE_BINS - 1)
  )
}

function tabulate(rows: readonly (readonly number[])[]): Float64Array {
  return Float64Array.from({ length: SHARE_BINS * COSINE_BINS }, (_, bin) => {
    const share = (Math.floor(bin / COSINE_BINS) + 0.5) / SHARE_BINS
    const cosine = (((bin % COSINE_BINS) + 0.5) * 2) / COSINE_BINS - 1
    return interpolate(rows, 1 / share - 1, cosine)
  })
}

/** Between the tables' nodes, and their ends beyond them. */
function interpolate(rows: readonly (readonly number[])[], distance: number, cosine: number): number {
  const above = DISTANCES.findIndex((node) => node >= distance)
  const high = above < 0 ? DISTANCES.length - 1 : above
  const low = Math.max(0, high - 1)
  const between = (distance - DISTANCES[low]) / (DISTANCES[high] - DISTANCES[low] || 1)
  const part = Math.max(0, Math.min(1, between))
  return ((1 - part) * alongRow(rows[low], cosine) + part * alongRow(rows[high], cosine)) / 1000
}

function alongRow(row: readonly number[], cosine: number): number {
  const at = Math.max(0, Math.min(row.length - 1, ((cosine + 1) * row.length) / 2 - 0.5))
  const low = Math.min(row.length - 2, Math.floor(at))
  return row[low] + (at - low) * (row[low + 1] - row[low])
}
