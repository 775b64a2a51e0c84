import { type EventBatch, eventCount } from '../event/event-batch.ts'

/** Quantities whose distribution changes when the detector or the emitter has a fault. */
export const DRIFT_FEATURES = ['pulses', 'charge', 'auxiliary'] as const
export type DriftFeature = (typeof DRIFT_FEATURES)[number]

/** One value per event; all arrays [events]. */
export interface FeatureColumns {
  /** Pulses of the event. */
  readonly pulses: Float64Array
  /** Mean charge of its pulses, p.e. */
  readonly charge: Float64Array
  /** Share of its pulses that are auxiliary, 0 to 1. */
  readonly auxiliary: Float64Array
}

/** The features of all events of a batch, in one pass over its pulses. */
export function featuresOf(batch: EventBatch): FeatureColumns {
  const events = eventCount(batch)
  const { offsets, charges, auxiliary: flags } = batch
  const pulses = new Float64Array(events)
  const charge = new Float64Array(events)
  const auxiliary = new Float64Array(events)
  for (let event = 0; event < events; event++) {
    const to = offsets[event + 1]
    let chargeSum = 0
    let flagged = 0
    for (let row = offsets[event]; row < to; row++) {
      chargeSum += charges[row]
      flagged += flags[row]
    }
    const count = to - offsets[event]
    pulses[event] = count
    charge[event] = chargeSum / count
    auxiliary[event] = flagged / count
  }
  return { pulses, charge, auxiliary }
}
