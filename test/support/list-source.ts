import { type EventBatch, sliceEvents } from '../../src/event/event-batch.ts'
import type { EventSource, RejectedEvent, SourceChunk, SourceReadOptions } from '../../src/source/source.ts'
import { randomEvents } from './random-events.ts'

export interface ListSourceOptions {
  readonly events: number
  /** Events in a chunk, or fewer when its reader wants fewer. */
  readonly chunk: number
  /** Unreadable events at the end of each span of `chunk` events. */
  readonly rejectedPerChunk?: number
  readonly spec?: string
}

export interface ListSource extends EventSource {
  readonly ids: readonly bigint[]
  /** Ids of the unreadable events. */
  readonly rejected: readonly bigint[]
}

/** A source in memory. Where unreadable events stand does not depend on how it is read, as with a real one. */
export function listSource({
  events,
  chunk,
  rejectedPerChunk = 0,
  spec = 'list',
}: ListSourceOptions): ListSource {
  const all = randomEvents({ events })
  const rejectedAfter = (event: number): RejectedEvent[] =>
    event % chunk === 0 || event === events
      ? Array.from({ length: rejectedPerChunk }, (_, i) => ({
          eventId: BigInt(1_000_000 + (Math.ceil(event / chunk) - 1) * rejectedPerChunk + i),
          code: 'source_value_invalid',
          message: `list row ${event}: sensor_id is -1`,
        }))
      : []
  async function* read({ eventsMax, resume, signal }: SourceReadOptions): AsyncGenerator<SourceChunk> {
    for (let from = Number(resume ?? 0); from < events && !signal.aborted; ) {
      const span = Math.min(chunk, eventsMax)
      const to = Math.min(events, from + span, (Math.floor(from / chunk) + 1) * chunk)
      yield { events: copyOf(sliceEvents(all, from, to)), rejected: rejectedAfter(to), resume: String(to) }
      from = to
    }
  }
  const spans = Math.ceil(events / chunk)
  return {
    spec,
    ids: [...all.eventIds],
    rejected: Array.from({ length: spans * rejectedPerChunk }, (_, i) => BigInt(1_000_000 + i)),
    count: async () => events,
    read,
  }
}

function copyOf(batch: EventBatch): EventBatch {
  const [first] = batch.offsets
  const last = batch.offsets[batch.offsets.length - 1]
  return {
    eventIds: batch.eventIds.slice(),
    offsets: batch.offsets.map((offset) => offset - first),
    sensorIds: batch.sensorIds.slice(first, last),
    times: batch.times.slice(first, last),
    charges: batch.charges.slice(first, last),
    auxiliary: batch.auxiliary.slice(first, last),
  }
}
