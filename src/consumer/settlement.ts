import type { DeadLetter, Delivery, Settlement } from '../broker/contract.ts'
import type { EventFault } from '../event/check.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import { encodePredictionBatch, type PredictionBatch } from '../event/prediction-wire.ts'
import type { Inference } from '../inference/inferrer.ts'
import { eventDeadLetter, type Reason } from './dead-letter.ts'

/** What is known about a delivery once the model has answered. */
export interface Answered {
  readonly delivery: Delivery
  /** Every event of the delivery, bad ones included. */
  readonly batch: EventBatch
  /** Bad events that the model was not asked about; indices into `batch`. */
  readonly faults: readonly EventFault[]
  /** The events asked about, in the order of `batch`. */
  readonly asked: EventBatch
  readonly inference: Inference
  readonly consumer: string
}

/** The fate of every event of a delivery, for the broker and for the metrics. */
export interface Fate {
  readonly settlement: Settlement
  readonly predictions: PredictionBatch
}

/** Turns an answer into predictions and dead letters: each event of the delivery is in exactly one of them. */
export function toFate(answered: Answered): Fate {
  const { delivery, batch, faults, asked, inference } = answered
  const failed = failedEvents(inference)
  const predictions = toPredictions(answered, failed)
  const deadLetters: DeadLetter[] = [
    ...faults.map((fault) => eventDeadLetter(delivery, batch, fault.index, fault)),
    ...[...failed].map(([index, reason]) => eventDeadLetter(delivery, asked, index, reason)),
  ]
  const predicted = predictions.eventIds.length
  return {
    predictions,
    settlement: {
      predictions: predicted > 0 ? encodePredictionBatch(predictions) : undefined,
      predicted,
      deadLetters,
    },
  }
}

/** Events asked about that have no direction, by index. An answer that is not a number is a fault even if not called one. */
function failedEvents({ azimuth, zenith, faults }: Inference): Map<number, Reason> {
  const failed = new Map<number, Reason>(faults.map((fault) => [fault.index, fault]))
  for (let i = 0; i < azimuth.length; i++) {
    if (Number.isFinite(azimuth[i]) && Number.isFinite(zenith[i])) continue
    if (failed.has(i)) continue
    const message = `the model answered azimuth ${azimuth[i]} and zenith ${zenith[i]}`
    failed.set(i, { code: 'model_output_invalid', message })
  }
  return failed
}

/** Columns are handed on as they are where every event has a direction, which is nearly always. */
function toPredictions(answered: Answered, failed: ReadonlyMap<number, Reason>): PredictionBatch {
  const { delivery, asked, inference, consumer } = answered
  const whole = {
    eventIds: asked.eventIds,
    azimuth: inference.azimuth,
    zenith: inference.zenith,
    kappa: inference.kappa,
    degenerate: inference.degenerate,
    pulses: pulsesPerEvent(asked),
    ...(asked.truth && { truth: asked.truth }),
    ...(asked.utc && { utc: asked.utc }),
  }
  const origin = {
    batchId: delivery.batchId,
    model: inference.model.name,
    modelVersion: inference.model.version,
    consumer,
    emittedAtMs: delivery.emittedAtMs,
    predictedAtMs: Date.now(),
  }
  return { origin, ...(failed.size === 0 ? whole : without(failed, whole)) }
}

function pulsesPerEvent({ offsets, eventIds }: EventBatch): Int32Array {
  const pulses = new Int32Array(eventIds.length)
  for (let i = 0; i < pulses.length; i++) pulses[i] = offsets[i + 1] - offsets[i]
  return pulses
}

type PredictionColumns = Omit<PredictionBatch, 'origin'>

function without(failed: ReadonlyMap<number, Reason>, columns: PredictionColumns): PredictionColumns {
  const isKept = (_: unknown, index: number): boolean => !failed.has(index)
  const { truth, utc } = columns
  return {
    eventIds: columns.eventIds.filter(isKept),
    azimuth: columns.azimuth.filter(isKept),
    zenith: columns.zenith.filter(isKept),
    kappa: columns.kappa.filter(isKept),
    degenerate: columns.degenerate.filter(isKept),
    pulses: columns.pulses.filter(isKept),
    ...(truth && { truth: { azimuth: truth.azimuth.filter(isKept), zenith: truth.zenith.filter(isKept) } }),
    ...(utc && { utc: utc.filter(isKept) }),
  }
}

/** Indices of `batch` without those of faults, ascending. */
export function goodIndices(batch: EventBatch, faults: readonly EventFault[]): Int32Array {
  const bad = new Set(faults.map((fault) => fault.index))
  return Int32Array.from({ length: eventCount(batch) }, (_, index) => index).filter(
    (index) => !bad.has(index),
  )
}
