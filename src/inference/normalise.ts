import type { FeatureSpec } from './manifest.ts'

/** Raw value of a column to the value in the tensor: transform, minus offset, divided by scale, clip. */
export function normalise(value: number, spec: FeatureSpec): number {
  const scaled = (transformed(value, spec.transform) - spec.offset) / spec.scale
  if (spec.clip === undefined) return scaled
  return Math.min(Math.max(scaled, spec.clip[0]), spec.clip[1])
}

function transformed(value: number, transform: FeatureSpec['transform']): number {
  switch (transform) {
    case undefined:
      return value
    case 'log10':
      return Math.log10(value)
    case 'ln':
      return Math.log(value)
    case 'log1p':
      return Math.log1p(value)
    case 'asinh':
      return Math.asinh(value)
  }
}
