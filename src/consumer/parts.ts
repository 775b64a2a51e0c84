import type { BatchMessage, Delivery } from '../broker/contract.ts'
import { type EventBatch, eventCount, sliceEvents } from '../event/event-batch.ts'
import { encodeEventBatch } from '../event/wire.ts'

/** A batch that consumers died of is put back in so many parts: 256 events are 16 batches of 16, then single events. */
const PARTS_MAX = 16

const PART_MARK = '~'

/** How often the events of a batch have been put back: each time adds one mark to its id. */
export function timesPutBack(batchId: string): number {
  return /(?:~\d+)*$/.exec(batchId)?.[0].split(PART_MARK).slice(1).length ?? 0
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
