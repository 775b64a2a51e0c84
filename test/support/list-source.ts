import { type EventBatch, sliceEvents } from '../../src/event/event-batch.ts'
import type { EventSource, RejectedEvent, SourceChunk, SourceReadOptions } from '../../src/source/source.ts'
import { randomEvents } from './random-events.ts'

export interface ListSourceOptions {
  readonly events: number
  /** Events in a chunk, or fewer when its reader wants fewer. */
  readonly chunk: number
  /** Number of readable events between unreadable ones. */
  readonly rejectEvery?: number
  readonly spec?: string
}

export interface ListSource extends EventSource {
  readonly ids: readonly bigint[]
  /** Ids of the unreadable events. */
  readonly rejected: readonly bigint[]
}

/** A source in memory. As in a real one, positions of unreadable events do not depend on the reader. */
export function listSource({ events, chunk, rejectEvery, spec = 'list' }: ListSourceOptions): ListSource {
  const all = randomEvents({ events })
  const unreadable = Array.from({ length: rejectEvery ? Math.floor(events / rejectEvery) : 0 }, (_, i) => i)
  const rejectedIn = (from: number, to: number): RejectedEvent[] =>
    unreadable
      .map((i) => ({ i, after: (i + 1) * (rejectEvery ?? 1) }))
      .filter(({ after }) => after > from && after <= to)
      .map(({ i, after }) => ({
        eventId: BigInt(1_000_000 + i),
        code: 'source_value_invalid',
        message: `list row ${after}: sensor_id is -1`,
      }))
  async function* read({ eventsMax, resume, signal }: SourceReadOptions): AsyncGenerator<SourceChunk> {
    for (let from = Number(resume ?? 0); from < events && !signal.aborted; ) {
      const span = Math.min(chunk, eventsMax)
      const to = Math.min(events, from + span, (Math.floor(from / span) + 1) * span)
      yield { events: copyOf(sliceEvents(all, from, to)), rejected: rejectedIn(from, to), resume: String(to) }
      from = to
    }
  }
  return {
    spec,
    ids: [...all.eventIds],
    rejected: unreadable.map((i) => BigInt(1_000_000 + i)),
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
