import type { Truth } from '../event/event-batch.ts'
import type { DuckDb } from '../formats/parquet/duckdb.ts'
import { readEventIds, readPulses } from '../formats/parquet/read.ts'
import { EventAssembler, type FileChunk, type FilePlace } from './event-assembler.ts'
import { SeenIds } from './seen-ids.ts'

export interface ReadFileOptions {
  readonly eventsMax: number
  /** From a chunk's `next`; undefined begins at the first row. */
  readonly place?: FilePlace | undefined
  readonly truthOf?: ((eventIds: BigInt64Array) => Truth) | undefined
}

/**
 * Events of one pulse file in order. When reading breaks off, what was complete comes before the error.
 * @throws UsageError `source_missing`, `source_unreadable`
 */
export async function* readFileEvents(
  db: DuckDb,
  file: string,
  { eventsMax, place, truthOf }: ReadFileOptions,
): AsyncGenerator<FileChunk> {
  const seen = new SeenIds((toRow) => readEventIds(db, file, toRow), place?.highestId)
  const assembler = new EventAssembler({ file, eventsMax, seen, truthOf })
  try {
    for await (const rows of readPulses(db, file, place?.row)) yield* assembler.add(rows)
  } catch (error) {
    const complete = assembler.breakOff()
    if (complete) yield complete
    throw error
  }
  const last = assembler.end()
  if (last) yield last
}
