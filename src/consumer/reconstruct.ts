import { sleep, untilAborted } from '../async/deadline.ts'
import { createBackoff } from '../async/retry.ts'
import type { Delivery, Settlement, SettleResult } from '../broker/contract.ts'
import { EventError, UnavailableError } from '../errors.ts'
import { type EventBatch, eventCount, selectEvents } from '../event/event-batch.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import { type DecodedEvents, decodeEvents } from '../event/wire.ts'
import type { Inference, ModelIdentity } from '../inference/inferrer.ts'
import { messaging, traced } from '../telemetry/tracing.ts'
import { askModel } from './ask-model.ts'
import { batchDeadLetter, eventDeadLetter, type Reason } from './dead-letter.ts'
import { timesPutBack, toParts } from './parts.ts'
import { recordDelivery, recordSettled } from './record.ts'
import type { Run } from './run.ts'
import { goodIndices, toFate } from './settlement.ts'

/**
 * The path of one delivery: decode and check, ask the model, settle. When it returns the broker knows the fate of
 * every event of it, or has it back in parts.
 * @throws UnavailableError or an abort reason when the consumer stops before that; unknown errors as they come
 */
export async function reconstruct(delivery: Delivery, run: Run): Promise<void> {
  const { traceparent, batchId, attempt, partition } = delivery
  const span = run.tracer.start('consume.batch', {
    parent: traceparent,
    links: [traceparent],
    kind: 'consumer',
    attributes: {
      ...messaging('process', batchId),
      'nustream.batch_id': batchId,
      'nustream.attempt': attempt,
      'nustream.partition': partition,
    },
  })
  await traced(span, () => bringToEnd(delivery, { ...run, traceparent: span.traceparent }))
}

async function bringToEnd(delivery: Delivery, run: Run): Promise<void> {
  recordDelivery(delivery, run)
  if (delivery.attempt > 2 * run.attemptsMax) {
    return settleWhole(delivery, { code: 'attempts_exhausted', message: exhausted(delivery) }, run)
  }
  const decoded = decode(delivery, run)
  if (decoded instanceof EventError) return settleWhole(delivery, decoded, run)
  if (delivery.attempt > run.attemptsMax) return takeApart(delivery, decoded, run)

  const { batch, faults } = decoded
  run.metrics.batchEvents.observe(eventCount(batch))
  const asked = faults.length === 0 ? batch : selectEvents(batch, goodIndices(batch, faults))
  const inference = eventCount(asked) === 0 ? noAnswer(run.inferrer.model) : await ask(asked, run)
  const { settlement, predictions } = toFate({
    ...decoded,
    delivery,
    asked,
    inference,
    consumer: run.consumer,
  })
  const result = await settle(delivery, settlement, run, predictions)
  if (result !== 'repeat') run.drift.add(asked)
}

/** The events of a delivery, or why nothing of it can be read. */
function decode(delivery: Delivery, { metrics }: Run): DecodedEvents | EventError {
  const startedAt = performance.now()
  try {
    return decodeEvents(delivery.payload)
  } catch (error) {
    if (error instanceof EventError) return error
    throw error
  } finally {
    metrics.decode.observe((performance.now() - startedAt) / 1000)
  }
}

function ask(batch: EventBatch, run: Run): Promise<Inference> {
  const { metrics, limit, log } = run
  return askModel(batch, {
    ...run,
    onRetry(reason, error) {
      metrics.retries.inc({ reason })
      limit(reason, (repeats) => log.warn({ err: error, reason, repeats }, 'model asked again'))
    },
    onCall: (seconds) => metrics.inference.observe(seconds),
  })
}

/**
 * Puts a delivery back that this consumer is about to end of, in parts at the end of the stream: after a restart others
 * come first, and the event at fault comes to stand alone. Alone it is given up after `attemptsMax` such ends.
 */
export async function putBack(delivery: Delivery, cause: unknown, run: Run): Promise<void> {
  const decoded = decode(delivery, run)
  if (decoded instanceof EventError) return
  const { batch } = decoded
  const isLastTime = eventCount(batch) === 1 && timesPutBack(delivery.batchId) >= run.attemptsMax
  if (!isLastTime) return split(delivery, batch, run)
  const message = `consumers ended ${run.attemptsMax + 1} times or more on this event: ${String(cause)}`
  const deadLetters = [eventDeadLetter(delivery, batch, 0, { code: 'attempts_exhausted', message })]
  await settle(delivery, { predictions: undefined, predicted: 0, deadLetters }, run)
}

async function split(delivery: Delivery, batch: EventBatch, run: Run): Promise<void> {
  await patiently(() => run.broker.split(delivery, toParts(delivery, batch)), run)
  run.metrics.splits.inc()
  run.log.warn({ batchId: delivery.batchId, attempt: delivery.attempt }, 'batch put back in parts')
}

/** Consumers have died holding this batch: the event at fault is sought by handing it out in ever smaller parts. */
async function takeApart(delivery: Delivery, { batch, faults }: DecodedEvents, run: Run): Promise<void> {
  if (eventCount(batch) > 1) return split(delivery, batch, run)
  const reason: Reason = faults[0] ?? { code: 'attempts_exhausted', message: exhausted(delivery) }
  const deadLetters = eventCount(batch) === 0 ? [] : [eventDeadLetter(delivery, batch, 0, reason)]
  await settle(delivery, { predictions: undefined, predicted: 0, deadLetters }, run)
}

function exhausted({ attempt }: Delivery): string {
  return `consumers ended ${attempt - 1} times while they held this`
}

async function settleWhole(delivery: Delivery, reason: Reason, run: Run): Promise<void> {
  const deadLetters = [batchDeadLetter(delivery, reason)]
  await settle(delivery, { predictions: undefined, predicted: 0, deadLetters }, run)
}

async function settle(
  delivery: Delivery,
  settlement: Settlement,
  run: Run,
  predictions?: PredictionBatch,
): Promise<SettleResult> {
  const startedAt = performance.now()
  const { predicted, deadLetters } = settlement
  const span = run.tracer.start('settle', {
    parent: run.traceparent ?? delivery.traceparent,
    kind: 'client',
    attributes: {
      ...messaging('settle', delivery.batchId),
      'nustream.predicted': predicted,
      'nustream.dead_letters': deadLetters.length,
    },
  })
  const result = await traced(span, () => patiently(() => run.broker.settle(delivery, settlement), run))
  run.metrics.settle.observe((performance.now() - startedAt) / 1000)
  recordSettled({ delivery, settlement, result, predictions }, run)
  return result
}

/** The broker waits by itself while it is away; what it still throws as unavailable is tried again until the end. */
async function patiently(store: () => Promise<SettleResult>, run: Run): Promise<SettleResult> {
  const { backoff, giveUp, limit, log, metrics } = run
  const pauses = createBackoff(backoff)
  for (;;) {
    try {
      return await untilAborted(store(), giveUp)
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      metrics.retries.inc({ reason: error.code })
      limit(error.code, (repeats) => log.warn({ err: error, repeats }, 'broker asked again'))
      await sleep(pauses.nextMs(error.retryAfterSeconds), giveUp)
      giveUp.throwIfAborted()
    }
  }
}

function noAnswer(model: ModelIdentity): Inference {
  const none = new Float64Array()
  return { model, azimuth: none, zenith: none, kappa: none, degenerate: new Uint8Array(), faults: [] }
}
