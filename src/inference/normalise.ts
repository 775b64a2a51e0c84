import type { FeatureSpec } from './manifest.ts'

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
