import type { InputSpec } from './manifest.ts'

/** Free dimensions of input tensors: events of a run, padded length, pulses of a run. */
export type FreeSize = 'E' | 'L' | 'T' | 'E + 1'

/** Dimensions that a layout makes: a letter where the run decides, a number where the manifest does. */
export function shapeOf(spec: InputSpec): (FreeSize | number)[] {
  switch (spec.layout) {
    case 'padded':
      return ['E', 'L', spec.features.length]
    case 'padded-column':
    case 'mask':
      return ['E', 'L']
    case 'flat':
      return ['T', spec.features.length]
    case 'flat-column':
    case 'event-index':
      return ['T']
    case 'event':
      return ['E', spec.features.length]
    case 'event-column':
    case 'lengths':
      return ['E']
    case 'offsets':
      return ['E + 1']
  }
}
