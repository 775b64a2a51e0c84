import type { EventErrorCode } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'
import type { MetaListing } from '../formats/parquet/read-meta.ts'

/** An event of the source that the event form cannot hold; it becomes a dead letter, its neighbours are read. */
export interface RejectedEvent {
  /** Undefined where the id itself is what cannot be read. */
  readonly eventId: bigint | undefined
  readonly code: EventErrorCode
  /** Names the file, the row and the offending value. */
  readonly message: string
}

/** Some events of a source, and where to continue after them. */
export interface SourceChunk {
  readonly events: EventBatch
  readonly rejected: readonly RejectedEvent[]
  /** Opaque to all but the source: pass it to `read` to continue after this chunk. */
  readonly resume: string
}

export interface SourceReadOptions {
  /** Events in a chunk at most. */
  readonly eventsMax: number
  /** From a chunk's `resume`; undefined begins at the beginning. */
  readonly resume?: string
  readonly signal: AbortSignal
}

/** Events that a data set says it has. */
export type EventListing = MetaListing

/** Where events come from. Reading it twice gives the same events in the same order. */
export interface EventSource {
  /** The spec it was made of, such as `kaggle:DIR` or `sim:42`; part of the name of a run. */
  readonly spec: string
  /** Events in all where that is known at the start, for the progress bar. */
  count(): Promise<number | undefined>
  /** True for a source that ends although its number of events is not known at the start. */
  readonly hasEnd?: boolean
  /** Events that the data set says it has, with pulses or without; undefined or missing where it does not say. */
  listed?(): Promise<EventListing | undefined>
  /** Chunks in order, with bounded memory whatever the source holds; the chunk's arrays are its reader's to keep. */
  read(options: SourceReadOptions): AsyncIterable<SourceChunk>
}

/** Compares names with numbers in them as people count: batch_2 before batch_10. */
export function compareNatural(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true }) || (a < b ? -1 : Number(a > b))
}
