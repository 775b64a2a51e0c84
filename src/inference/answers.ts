import type { EventErrorCode } from '../errors.ts'
import type { InferenceFault } from './inferrer.ts'

/** Directions of some events as they are being found; NaN where none is yet. All arrays [events]. */
export interface Answers {
  readonly azimuth: Float64Array
  readonly zenith: Float64Array
  readonly kappa: Float64Array
  readonly degenerate: Uint8Array
  readonly faults: InferenceFault[]
  /** The network's own vectors, turned to the source, where they are wanted; any length, also 0. [3 × events] */
  readonly vectors?: Float64Array
}

export function createAnswers(events: number, { keepsVectors = false } = {}): Answers {
  return {
    ...(keepsVectors && { vectors: new Float64Array(3 * events).fill(Number.NaN) }),
    azimuth: new Float64Array(events).fill(Number.NaN),
    zenith: new Float64Array(events).fill(Number.NaN),
    kappa: new Float64Array(events).fill(Number.NaN),
    degenerate: new Uint8Array(events),
    faults: [],
  }
}

export function addFault(answers: Answers, index: number, code: EventErrorCode, message: string): void {
  answers.azimuth[index] = Number.NaN
  answers.zenith[index] = Number.NaN
  answers.kappa[index] = Number.NaN
  answers.degenerate[index] = 0
  answers.faults.push({ index, code, message })
}
