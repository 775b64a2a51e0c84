import type { Delivery, Settlement, SettleResult } from '../broker/contract.ts'
import { openingAngles } from '../event/direction.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import type { Run } from './run.ts'

/** Counts a delivery that has come. */
export function recordDelivery(delivery: Delivery, { metrics, tally }: Run): void {
  tally.start()
  if (delivery.attempt > 1) metrics.redeliveries.inc()
  const waitedMs = sinceEmitted(delivery)
  if (waitedMs !== undefined) metrics.queueWait.observe(waitedMs / 1000)
}

export interface Settled {
  readonly delivery: Delivery
  readonly settlement: Settlement
  readonly result: SettleResult
  readonly predictions: PredictionBatch | undefined
}

/** Counts and logs the fate of a delivery, once, where the broker has it. */
export function recordSettled({ delivery, settlement, result, predictions }: Settled, run: Run): void {
  const { metrics, tally, log, limit } = run
  const { predicted, deadLetters } = settlement
  const deadLettered = deadLetters.reduce((sum, { events }) => sum + events, 0)
  if (result === 'repeat') {
    metrics.events.inc({ outcome: 'repeated' }, predicted + deadLettered)
    tally.addRepeat(predicted + deadLettered)
    return
  }
  metrics.events.inc({ outcome: 'predicted' }, predicted)
  metrics.events.inc({ outcome: 'dead_lettered' }, deadLettered)
  for (const { code, message, eventId, batchId, events } of deadLetters) {
    metrics.deadLetters.inc({ code })
    const facts = { code, eventId: eventId?.toString(), batchId, events, reason: message }
    limit(code, (repeats) => log.warn({ ...facts, repeats }, 'event became a dead letter'))
  }
  const latencyMs = sinceEmitted(delivery)
  if (latencyMs !== undefined) metrics.latency.observe(latencyMs / 1000)
  const quality = predictions ? recordPredictions(predictions, run) : NOTHING
  tally.addSettled({ predicted, deadLettered, latencyMs, ...quality })
  const { angularErrors } = quality
  run.onSettled({ predicted, deadLettered, latencyMs, predictions, angularErrors })
}

const NOTHING = { degenerate: 0, angularErrors: undefined }

/** Observes what the model answered, and how far that is from the truth where it is known. */
function recordPredictions(predictions: PredictionBatch, { metrics }: Run) {
  const { origin, truth, kappa } = predictions
  let degenerate = 0
  for (const flag of predictions.degenerate) degenerate += flag
  metrics.degenerate.inc(degenerate)
  for (const value of kappa) if (!Number.isNaN(value)) metrics.kappa.observe(value)
  const angularErrors = truth && openingAngles(predictions, truth)
  for (const angle of angularErrors ?? []) if (!Number.isNaN(angle)) metrics.angularError.observe(angle)
  metrics.modelInfo.reset()
  metrics.modelInfo.set({ model: origin.model, version: origin.modelVersion }, 1)
  return { degenerate, angularErrors }
}

/** Producers that do not say when leave it 0; clocks of two machines may differ, so that it can seem to lie ahead. */
function sinceEmitted({ emittedAtMs }: Delivery): number | undefined {
  return emittedAtMs > 0 ? Math.max(0, Date.now() - emittedAtMs) : undefined
}
