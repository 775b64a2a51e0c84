import type { DeadLetter, Delivery, Settlement } from '../broker/contract.ts'
import { type EventBatch, eventCount, selectEvents } from '../event/event-batch.ts'
import { encodePredictionBatch, type PredictionBatch } from '../event/prediction-wire.ts'
import type { DecodedEvents } from '../event/wire.ts'
import type { Inference } from '../inference/inferrer.ts'
import { eventDeadLetters, type FaultyEvent } from './dead-letters.ts'

/** What becomes of the events of a delivery: each is in the predictions or in a dead letter. */
export interface Outcome {
  /** Undefined where no event has a prediction. */
  readonly predictions: PredictionBatch | undefined
  readonly deadLetters: readonly DeadLetter[]
}

/** An outcome as the broker stores it. */
export function toSettlement({ predictions, deadLetters }: Outcome): Settlement {
  return {
    predictions: predictions && encodePredictionBatch(predictions),
    predicted: predictions?.eventIds.length ?? 0,
    deadLetters,
  }
}

/** The events of a delivery that the model is asked about: those without a fault. */
export function soundEvents({ batch, faults }: DecodedEvents): EventBatch {
  if (faults.length === 0) return batch
  const faulty = new Set(faults.map(({ index }) => index))
  return selectEvents(
    batch,
    indicesOf(eventCount(batch), (index) => !faulty.has(index)),
  )
}

export interface Answer {
  readonly delivery: Delivery
  /** The events that the model was asked about. */
  readonly asked: EventBatch
  readonly inference: Inference
  /** Name of the consumer that asked. */
  readonly consumer: string
}

/** Each event asked about has a prediction, or a dead letter where the answer is a fault or no direction. */
export function outcomeOf({ delivery, asked, inference, consumer }: Answer): Outcome {
  const faults = faultsOf(inference)
  const whole = predictionsOf({ delivery, asked, inference, consumer })
  const deadLetters = eventDeadLetters(delivery, asked, faults)
  // Nearly always every event has a direction, and no column is copied.
  if (faults.length === 0) return { predictions: eventCount(asked) > 0 ? whole : undefined, deadLetters }
  const faulty = new Set(faults.map(({ index }) => index))
  const kept = indicesOf(eventCount(asked), (index) => !faulty.has(index))
  return { predictions: kept.length > 0 ? selectPredictions(whole, kept) : undefined, deadLetters }
}

/** Faults in the order of the events. An angle that is not finite is one even where the model did not say so. */
function faultsOf({ azimuth, zenith, faults }: Inference): FaultyEvent[] {
  const byIndex = new Map<number, FaultyEvent>(faults.map((fault) => [fault.index, fault]))
  for (let index = 0; index < azimuth.length; index++) {
    if (Number.isFinite(azimuth[index]) && Number.isFinite(zenith[index])) continue
    if (byIndex.has(index)) continue
    const message = `the model answered azimuth ${azimuth[index]} and zenith ${zenith[index]}`
    byIndex.set(index, { index, code: 'model_output_invalid', message })
  }
  return [...byIndex.values()].sort((a, b) => a.index - b.index)
}

function predictionsOf({ delivery, asked, inference, consumer }: Answer): PredictionBatch {
  const { azimuth, zenith, kappa, degenerate, model } = inference
  return {
    origin: {
      batchId: delivery.batchId,
      model: model.name,
      modelVersion: model.version,
      consumer,
      emittedAtMs: delivery.emittedAtMs,
      predictedAtMs: Date.now(),
    },
    eventIds: asked.eventIds,
    azimuth,
    zenith,
    kappa,
    degenerate,
    pulses: asked.offsets.subarray(1, eventCount(asked) + 1).map((end, event) => end - asked.offsets[event]),
    ...(asked.truth && { truth: asked.truth }),
    ...(asked.reference && { reference: asked.reference }),
    ...(asked.utc && { utc: asked.utc }),
  }
}

/** The predictions at `indices`, in that order; every column is copied. */
function selectPredictions(all: PredictionBatch, indices: Int32Array): PredictionBatch {
  const numbers = (column: Float64Array) => Float64Array.from(indices, (index) => column[index])
  const { truth, reference, utc } = all
  return {
    origin: all.origin,
    eventIds: BigInt64Array.from(indices, (index) => all.eventIds[index]),
    azimuth: numbers(all.azimuth),
    zenith: numbers(all.zenith),
    kappa: numbers(all.kappa),
    degenerate: Uint8Array.from(indices, (index) => all.degenerate[index]),
    pulses: indices.map((index) => all.pulses[index]),
    ...(truth && { truth: { azimuth: numbers(truth.azimuth), zenith: numbers(truth.zenith) } }),
    ...(reference && {
      reference: { azimuth: numbers(reference.azimuth), zenith: numbers(reference.zenith) },
    }),
    ...(utc && { utc: BigInt64Array.from(indices, (index) => utc[index]) }),
  }
}

/** Ascending. */
function indicesOf(events: number, isWanted: (index: number) => boolean): Int32Array {
  return Int32Array.from({ length: events }, (_, index) => index).filter(isWanted)
}
