import { vmfProbability, vmfRadius } from '../event/direction.ts'
import { meanOf, quantile } from './statistics.ts'

/** The radius about the predicted direction that should contain a share of the events, and the one that does. */
export interface RadiusCalibration {
  /** Quantile of the angular error that the concentrations predict for all events together, rad. */
  readonly predictedRad: number
  /** The same quantile of the observed errors, rad. */
  readonly observedRad: number
  /** Observed ÷ predicted: 1 for a calibrated model, above 1 for an overconfident one. */
  readonly ratio: number
}

/** The same for the events of a range of kappa. */
export interface KappaBin {
  readonly kappaFrom: number
  /** Inclusive. */
  readonly kappaTo: number
  readonly events: number
  readonly coverage50: number
  readonly coverage90: number
  readonly radius50: RadiusCalibration
  readonly radius90: RadiusCalibration
}

/** Calibration of the concentration that a model gives with a direction. */
export interface Calibration {
  /** Events with truth and a concentration. */
  readonly events: number
  /** Share of events whose error is within their own 50 % radius: 0.5 for a calibrated model. */
  readonly coverage50: number
  readonly coverage90: number
  readonly radius50: RadiusCalibration
  readonly radius90: RadiusCalibration
  /** Factor by which every event's 50 % radius must be scaled so that half of the events lie within. */
  readonly scale50: number
  readonly scale90: number
  /** Share of events within their own radius of each predicted share. */
  readonly reliability: readonly { readonly predicted: number; readonly observed: number }[]
  /** Ten ranges of kappa with equally many events, lowest kappa first. */
  readonly byKappa: readonly KappaBin[]
}

const BINS = 10
const RELIABILITY_STEPS = 20

/** Errors and concentrations of the same events; events without either are left out. Undefined if none is left. */
export function calibrate(errors: Float64Array, kappas: Float64Array): Calibration | undefined {
  const isKnown = (i: number) => !Number.isNaN(errors[i]) && !Number.isNaN(kappas[i])
  const order = Int32Array.from(errors.keys()).filter(isKnown)
  if (order.length === 0) return undefined
  order.sort((a, b) => kappas[a] - kappas[b] || a - b)
  const error = Float64Array.from(order, (i) => errors[i])
  const kappa = Float64Array.from(order, (i) => kappas[i])
  const probability = error.map((angle, i) => vmfProbability(angle, kappa[i])).sort()
  const steps = Array.from({ length: RELIABILITY_STEPS - 1 }, (_, i) => (i + 1) / RELIABILITY_STEPS)
  return {
    ...calibrationOf(error, kappa),
    scale50: scaleOf(error, kappa, 0.5),
    scale90: scaleOf(error, kappa, 0.9),
    reliability: steps.map((predicted) => ({ predicted, observed: shareUpTo(probability, predicted) })),
    byKappa: byKappa(error, kappa),
  }
}

function calibrationOf(error: Float64Array, kappa: Float64Array) {
  const sorted = error.toSorted()
  const within = (share: number) =>
    error.reduce((count, angle, i) => count + (vmfProbability(angle, kappa[i]) <= share ? 1 : 0), 0)
  const radius = (share: number): RadiusCalibration => {
    const predictedRad = mixtureQuantile(kappa, share)
    const observedRad = quantile(sorted, share)
    return { predictedRad, observedRad, ratio: observedRad / predictedRad }
  }
  return {
    events: error.length,
    coverage50: within(0.5) / error.length,
    coverage90: within(0.9) / error.length,
    radius50: radius(0.5),
    radius90: radius(0.9),
  }
}

/** Both sorted by kappa. */
function byKappa(error: Float64Array, kappa: Float64Array): KappaBin[] {
  const bins = Math.min(BINS, error.length)
  return Array.from({ length: bins }, (_, bin) => {
    const from = Math.floor((bin * error.length) / bins)
    const to = Math.floor(((bin + 1) * error.length) / bins)
    const kappas = kappa.subarray(from, to)
    return {
      kappaFrom: kappas[0],
      kappaTo: kappas[kappas.length - 1],
      ...calibrationOf(error.subarray(from, to), kappas),
    }
  })
}

function scaleOf(error: Float64Array, kappa: Float64Array, share: number): number {
  const scales = error.map((angle, i) => angle / vmfRadius(share, kappa[i]))
  return quantile(scales.sort(), share)
}

function shareUpTo(sorted: Float64Array, limit: number): number {
  let count = 0
  while (count < sorted.length && sorted[count] <= limit) count++
  return count / sorted.length
}

/** Halving π this often leaves less than 10⁻⁶ degrees. */
const HALVINGS = 30
/** Of more concentrations, every k-th represents its neighbours: in a sorted array they hardly differ. */
const MIXTURE_MAX = 5000

/** Angle that contains a share of draws, with one draw from the distribution of each concentration. `sorted` ascends. */
function mixtureQuantile(sorted: Float64Array, share: number): number {
  const stride = Math.ceil(sorted.length / MIXTURE_MAX)
  const first = (stride - 1) >> 1
  const kappas = Float64Array.from(
    { length: Math.ceil((sorted.length - first) / stride) },
    (_, i) => sorted[first + i * stride],
  )
  let [low, high] = [0, Math.PI]
  for (let step = 0; step < HALVINGS; step++) {
    const middle = (low + high) / 2
    if (meanOf(kappas.map((kappa) => vmfProbability(middle, kappa))) < share) low = middle
    else high = middle
  }
  return (low + high) / 2
}
