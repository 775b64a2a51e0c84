import { OutOfTime, untilAborted, within } from '../async/deadline.ts'
import { type BackoffOptions, retry } from '../async/retry.ts'
import type { Broker, Delivery, SettleResult } from '../broker/contract.ts'
import { EventError, UnavailableError } from '../errors.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import { type DecodedEvents, decodeEvents } from '../event/wire.ts'
import { allocateDirections, assertDirections } from '../inference/directions.ts'
import type { Inference, Inferrer } from '../inference/inferrer.ts'
import { messaging, type Tracer, traced } from '../telemetry/tracing.ts'
import { batchDeadLetter, eventDeadLetters, type Reason, timesPutBack, toParts } from './dead-letters.ts'
import type { ConsumeRecord } from './record.ts'
import { type Outcome, outcomeOf, soundEvents, toSettlement } from './settlement.ts'

export interface ProcessorOptions {
  readonly broker: Pick<Broker, 'settle' | 'split'>
  readonly inferrer: Inferrer
  /** Name of this consumer. */
  readonly consumer: string
  /** Deliveries of a batch before it is put back in parts, and of an event before it becomes a dead letter. */
  readonly attemptsMax: number
  /** Bound of one call of the model; the model is asked again after it. Longer than the inferrer's own deadlines. */
  readonly answerWithinMs: number
  /** Pauses between two calls of a model that is away. */
  readonly backoff: BackoffOptions
  readonly record: ConsumeRecord
  readonly tracer: Tracer
  /** Aborts: wait no longer for a model that is away. */
  readonly stopping: AbortSignal
  /** Aborts: end calls under way, too. */
  readonly giveUp: AbortSignal
}

/** Bounds of a batch; the whole of a larger one becomes one dead letter (docs/wire-format.md). */
export const BATCH_LIMITS = { bytesMax: 64 * 1024 * 1024, eventsMax: 65_536 } as const

/** The path of one delivery: decode and check, ask the model, settle. */
export class BatchProcessor {
  readonly #options: ProcessorOptions

  constructor(options: ProcessorOptions) {
    this.#options = options
  }

  /**
   * When it returns, the broker has the outcome of every event of the delivery, or has the batch back in parts.
   * @throws UnavailableError or an abort reason when the consumer stops before that; unknown errors as they come
   */
  async process(delivery: Delivery): Promise<void> {
    const { traceparent, batchId, attempt, partition } = delivery
    const span = this.#options.tracer.start('consume.batch', {
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
    await traced(span, () => this.#process(delivery, span.traceparent))
  }

  /**
   * Puts a delivery back on which this consumer is about to end, in parts at the end of the stream: other batches come
   * first after a restart, and the event at fault comes to be alone in its batch. Alone it becomes a dead letter when it
   * has ended more than `attemptsMax` consumers.
   */
  async putBack(delivery: Delivery, cause: unknown): Promise<void> {
    const { attemptsMax } = this.#options
    const decoded = this.#decode(delivery)
    if (decoded instanceof EventError) return
    const { batch } = decoded
    const isLastTime = eventCount(batch) === 1 && timesPutBack(delivery.batchId) >= attemptsMax
    if (!isLastTime) return await this.#split(delivery, batch)
    const message = `consumers ended ${attemptsMax + 1} times or more on this event: ${String(cause)}`
    const fault = { index: 0, code: 'attempts_exhausted', message } as const
    await this.#settle(delivery, dead(eventDeadLetters(delivery, batch, [fault])))
  }

  async #process(delivery: Delivery, traceparent: string | undefined): Promise<void> {
    const { attemptsMax, record, consumer } = this.#options
    const settleWhole = (reason: Reason) =>
      this.#settle(delivery, dead([batchDeadLetter(delivery, reason)]), traceparent)
    record.delivered(delivery)
    if (delivery.attempt > 2 * attemptsMax) return void (await settleWhole(exhausted(delivery)))
    const decoded = this.#decode(delivery)
    if (decoded instanceof EventError) return void (await settleWhole(decoded))
    if (delivery.attempt > attemptsMax) return await this.#takeApart(delivery, decoded, traceparent)

    record.batchRead(eventCount(decoded.batch))
    const asked = soundEvents(decoded)
    const inference = await this.#ask(asked, traceparent)
    const answered = outcomeOf({ delivery, asked, inference, consumer })
    const unasked = eventDeadLetters(delivery, decoded.batch, decoded.faults)
    const outcome = { ...answered, deadLetters: [...unasked, ...answered.deadLetters] }
    const result = await this.#settle(delivery, outcome, traceparent)
    if (result === 'settled') record.compareWithTraining(asked)
  }

  /** The events of a delivery, or why nothing of it can be read. */
  #decode({ payload, fault }: Delivery): DecodedEvents | EventError {
    if (fault) return new EventError(fault.code, fault.message)
    const startedMs = performance.now()
    try {
      return decodeEvents(payload, BATCH_LIMITS)
    } catch (error) {
      if (error instanceof EventError) return error
      throw error
    } finally {
      this.#options.record.decoded((performance.now() - startedMs) / 1000)
    }
  }

  /** Directions of the events. A model that is away is waited for until the consumer stops. */
  async #ask(batch: EventBatch, traceparent: string | undefined): Promise<Inference> {
    const { inferrer, backoff, record, stopping } = this.#options
    const events = eventCount(batch)
    if (events === 0) return { model: inferrer.model, ...allocateDirections(0) }
    const inference = await retry(() => this.#askOnce(batch, traceparent), {
      signal: stopping,
      backoff,
      isTransient: (error) => error instanceof UnavailableError || error instanceof OutOfTime,
      onRetry: (error) =>
        record.retried(error instanceof UnavailableError ? error.code : 'model_timeout', error),
    })
    assertDirections(inference, events)
    return inference
  }

  async #askOnce(batch: EventBatch, parent: string | undefined): Promise<Inference> {
    const { inferrer, answerWithinMs, record, tracer, giveUp } = this.#options
    const attributes = { 'nustream.events': eventCount(batch), 'nustream.model': inferrer.model.name }
    const span = tracer.start('predict', { parent, kind: 'client', attributes })
    const late = new AbortController()
    const startedMs = performance.now()
    const call = () =>
      inferrer.infer(batch, {
        signal: AbortSignal.any([giveUp, late.signal]),
        traceparent: span.traceparent,
        onRetry: (reason, error) => record.retried(reason, error),
      })
    try {
      const inference = await traced(span, () => within(call, answerWithinMs, giveUp))
      record.answered()
      return inference
    } finally {
      late.abort()
      record.asked((performance.now() - startedMs) / 1000)
    }
  }

  /** Consumers have ended while they held this batch: in ever smaller parts the event at fault comes to be alone. */
  async #takeApart(
    delivery: Delivery,
    decoded: DecodedEvents,
    traceparent: string | undefined,
  ): Promise<void> {
    const { batch, faults } = decoded
    if (eventCount(batch) > 1) return await this.#split(delivery, batch)
    const reason = faults[0] ?? exhausted(delivery)
    const letters =
      eventCount(batch) === 0 ? [] : eventDeadLetters(delivery, batch, [{ ...reason, index: 0 }])
    await this.#settle(delivery, dead(letters), traceparent)
  }

  async #split(delivery: Delivery, batch: EventBatch): Promise<void> {
    const { broker, giveUp, record } = this.#options
    await untilAborted(broker.split(delivery, toParts(delivery, batch)), giveUp)
    record.putBack(delivery)
  }

  async #settle(
    delivery: Delivery,
    outcome: Outcome,
    traceparent = delivery.traceparent,
  ): Promise<SettleResult> {
    const { broker, giveUp, record, tracer } = this.#options
    const settlement = toSettlement(outcome)
    const span = tracer.start('settle', {
      parent: traceparent,
      kind: 'client',
      attributes: {
        ...messaging('settle', delivery.batchId),
        'nustream.predicted': settlement.predicted,
        'nustream.dead_letters': settlement.deadLetters.length,
      },
    })
    const startedMs = performance.now()
    const result = await traced(span, () => untilAborted(broker.settle(delivery, settlement), giveUp))
    record.settled(delivery, outcome, { result, seconds: (performance.now() - startedMs) / 1000 })
    return result
  }
}

function dead(deadLetters: Outcome['deadLetters']): Outcome {
  return { predictions: undefined, deadLetters }
}

function exhausted({ attempt }: Delivery): Reason {
  return { code: 'attempts_exhausted', message: `consumers ended ${attempt - 1} times while they held this` }
}
