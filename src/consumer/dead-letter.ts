import type { DeadLetter, Delivery } from '../broker/contract.ts'
import type { EventErrorCode } from '../errors.ts'
import { type EventBatch, selectEvents } from '../event/event-batch.ts'
import { encodeEventBatch } from '../event/wire.ts'

/** Why an event or a batch cannot be processed. */
export interface Reason {
  readonly code: EventErrorCode
  readonly message: string
}

/** Error texts of models can hold whole tensors. */
const MESSAGE_CHARACTERS_MAX = 1_000

/** One event that cannot be processed, in wire form alone, so that it can be inspected and replayed alone. */
export function eventDeadLetter(
  delivery: Delivery,
  batch: EventBatch,
  index: number,
  reason: Reason,
): DeadLetter {
  return {
    ...common(delivery, reason),
    eventId: batch.eventIds[index],
    payload: encodeEventBatch(selectEvents(batch, Int32Array.of(index))),
    events: 1,
  }
}

/** A batch that cannot be taken apart, with its bytes as they came. */
export function batchDeadLetter(delivery: Delivery, reason: Reason): DeadLetter {
  return {
    ...common(delivery, reason),
    eventId: undefined,
    payload: delivery.payload,
    events: Math.max(1, delivery.events),
  }
}

function common(delivery: Delivery, { code, message }: Reason) {
  return {
    batchId: delivery.batchId,
    code,
    message:
      message.length > MESSAGE_CHARACTERS_MAX ? `${message.slice(0, MESSAGE_CHARACTERS_MAX)} …` : message,
    attempts: delivery.attempt,
    diedAtMs: Date.now(),
  }
}
