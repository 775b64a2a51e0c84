import type { BatchMessage, Delivery } from '../broker/contract.ts'
import { type EventBatch, eventCount, sliceEvents } from '../event/event-batch.ts'
import { encodeEventBatch } from '../event/wire.ts'

/** A batch that consumers died of is put back in so many parts: 256 events are 16 batches of 16, then single events. */
const PARTS_MAX = 16

const PART_MARK = '~'

/** How often the events of a batch have been put back: each time adds one mark to its id. */
export function timesPutBack(batchId: string): number {
  let times = 0
  let rest = batchId
  // One mark at a time from the end: a pattern for all of them takes time with the square of an id's length.
  for (let mark = rest.lastIndexOf(PART_MARK); mark !== -1; mark = rest.lastIndexOf(PART_MARK)) {
    if (!/^\d+$/.test(rest.slice(mark + 1))) break
    times++
    rest = rest.slice(0, mark)
  }
  return times
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
