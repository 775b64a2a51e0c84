import type { FeatureSpec } from '../model/manifest.ts'

/** Raw value of a column to the value in the tensor: transform, minus offset, divided by scale, clip. */
export type Normalise = (value: number) => number

export function buildNormalise({ transform, offset, scale, clip }: FeatureSpec): Normalise {
  const scaled = buildScaled(transform, offset, scale)
  if (clip === undefined) return scaled
  const [least, most] = clip
  return (value) => Math.min(Math.max(scaled(value), least), most)
}

function buildScaled(transform: FeatureSpec['transform'], offset: number, scale: number): Normalise {
  switch (transform) {
    case undefined:
      return (value) => (value - offset) / scale
    case 'log10':
      return (value) => (Math.log10(value) - offset) / scale
    case 'ln':
      return (value) => (Math.log(value) - offset) / scale
    case 'log1p':
      return (value) => (Math.log1p(value) - offset) / scale
    case 'asinh':
      return (value) => (Math.asinh(value) - offset) / scale
  }
}

/** A power of two: most charges lie below 51 p.e. */
const REMEMBERED = 1024
/** Charges are digitised in steps of 0.05 p.e. (SuperDST), so that few values make up nearly all of them. */
const STEPS_PER_PE = 20

/** The same function of charges in single precision: an answer is looked up where the same charge was asked for before. */
export function rememberCharges(normalise: Normalise): Normalise {
  const charges = new Float32Array(REMEMBERED).fill(Number.NaN)
  const answers = new Float64Array(REMEMBERED)
  return (charge) => {
    const slot = (charge * STEPS_PER_PE) & (REMEMBERED - 1)
    if (charges[slot] !== charge) {
      charges[slot] = charge
      answers[slot] = normalise(charge)
    }
    return answers[slot]
  }
}
