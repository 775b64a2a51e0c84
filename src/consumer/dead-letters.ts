import type { BatchMessage, DeadLetter, Delivery } from '../broker/contract.ts'
import type { EventErrorCode } from '../errors.ts'
import { type EventBatch, eventCount, selectEvents, sliceEvents } from '../event/event-batch.ts'
import { encodeEventBatch } from '../event/wire.ts'

/** Why an event or a batch cannot be processed. */
export interface Reason {
  readonly code: EventErrorCode
  readonly message: string
}

/** Why one event of a batch cannot be processed. */
export interface FaultyEvent extends Reason {
  /** Index of the event in the batch. */
  readonly index: number
}

/** Error texts of models can hold whole tensors. */
const MESSAGE_CHARACTERS_MAX = 1_000

/** A batch with more events at fault than this has one dead letter for each code instead of one for each event. */
export const LETTERS_OF_A_BATCH_MAX = 64

/**
 * Dead letters for the events of a batch that cannot be processed: one for each event, in wire form alone, so that it can
 * be inspected and replayed alone. More than 64 events share a letter with all others of the same code, so that storing
 * them takes a bounded time.
 */
export function eventDeadLetters(
  delivery: Delivery,
  batch: EventBatch,
  faults: readonly FaultyEvent[],
): DeadLetter[] {
  if (faults.length <= LETTERS_OF_A_BATCH_MAX) {
    return faults.map((fault) => ({
      ...common(delivery, fault),
      eventId: batch.eventIds[fault.index],
      payload: encodeEventBatch(selectEvents(batch, Int32Array.of(fault.index))),
      events: 1,
    }))
  }
  return [...Map.groupBy(faults, ({ code }) => code)].map(([code, group]) => ({
    ...common(delivery, {
      code,
      message: `${group.length} events of the batch; the first: ${group[0].message}`,
    }),
    eventId: undefined,
    payload: encodeEventBatch(
      selectEvents(
        batch,
        group.map(({ index }) => index),
      ),
    ),
    events: group.length,
  }))
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

/** A batch that ended consumers is put back in this many parts: 256 events become 16 batches of 16, then single events. */
const PARTS_MAX = 16

const PART_MARK = '~'

/** How often the events of a batch have been put back in parts: each time adds one mark to its id. */
export function timesPutBack(batchId: string): number {
  const pieces = batchId.split(PART_MARK)
  const lastName = pieces.findLastIndex((piece, i) => i === 0 || !/^\d+$/.test(piece))
  return pieces.length - 1 - lastName
}

/** The events of a delivery in up to 16 batches of nearly equal size, with ids that follow from its own. */
export function toParts(delivery: Delivery, batch: EventBatch): BatchMessage[] {
  const events = eventCount(batch)
  const parts = Math.min(PARTS_MAX, events)
  return Array.from({ length: parts }, (_, part) => {
    const from = Math.floor((part * events) / parts)
    const to = Math.floor(((part + 1) * events) / parts)
    return {
      batchId: `${delivery.batchId}${PART_MARK}${part}`,
      payload: encodeEventBatch(sliceEvents(batch, from, to)),
      events: to - from,
      emittedAtMs: delivery.emittedAtMs,
      ...(delivery.traceparent && { traceparent: delivery.traceparent }),
    }
  })
}
