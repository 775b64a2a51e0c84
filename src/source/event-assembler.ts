import type { EventErrorCode } from '../errors.ts'
import type { EventBatch, Truth } from '../event/event-batch.ts'
import type { PulseFault, PulseRows } from '../formats/parquet/read.ts'
import { EventBuilder } from './event-builder.ts'
import type { SeenIds } from './seen-ids.ts'
import type { RejectedEvent } from './source.ts'

/** Where reading a file goes on. */
export interface FilePlace {
  /** Row of the first pulse that is not read yet. */
  readonly row: number
  /** The highest event id before it. */
  readonly highestId: bigint | undefined
}

export interface FileChunk {
  readonly events: EventBatch
  readonly rejected: readonly RejectedEvent[]
  /** Undefined at the end of the file. */
  readonly next: FilePlace | undefined
}

export interface AssemblerOptions {
  /** For messages. */
  readonly file: string
  /** Events in a chunk at most, rejected ones included. */
  readonly eventsMax: number
  readonly seen: SeenIds
  readonly truthOf?: ((eventIds: BigInt64Array) => Truth) | undefined
}

/** A chunk ends early when it holds so many pulses: one large event should not wait for 255 others. */
const CHUNK_PULSES_MAX = 262_144

/** Six times the largest event of the Kaggle data; a longer one is a file with a broken event id column. */
export const EVENT_PULSES_MAX = 1_048_576

interface Reason {
  readonly code: EventErrorCode
  readonly message: string
}

interface OpenEvent {
  readonly id: bigint
  readonly firstRow: number
  /** Highest id before it. */
  readonly highestId: bigint | undefined
  rejection: Reason | undefined
}

/** Neighbouring rows with the same event id are an event; this gathers rows to events and events to chunks. */
export class EventAssembler {
  readonly #options: AssemblerOptions
  readonly #builder = new EventBuilder()
  #rejected: RejectedEvent[] = []
  #open: OpenEvent | undefined
  /** Why rows after the open event have no readable id. They are the open event's if it goes on after them. */
  #orphan: Reason | undefined

  constructor(options: AssemblerOptions) {
    this.#options = options
  }

  async *add(rows: PulseRows): AsyncGenerator<FileChunk> {
    const count = rows.eventIds.length
    let nextFault = 0
    for (let from = 0; from < count; ) {
      const fault = rows.faults[nextFault]?.index === from ? rows.faults[nextFault++] : undefined
      const to = rows.faults.length > 0 ? from + 1 : endOfRun(rows.eventIdWords, from, count)
      if (fault?.column === 'event_id') {
        this.#orphan ??= this.#toReason(fault, rows.firstRow + from)
      } else {
        const id = rows.eventIds[from]
        if (this.#open?.id !== id) {
          this.#close()
          if (this.#isFull)
            yield this.#take({ row: rows.firstRow + from, highestId: this.#options.seen.highest })
          await this.#begin(id, rows.firstRow + from)
        }
        this.#extend(rows, from, to, fault)
      }
      from = to
    }
  }

  /** The last chunk of the file; undefined for a file without rows. */
  end(): FileChunk | undefined {
    this.#close()
    return this.#isEmpty ? undefined : this.#take(undefined)
  }

  /** What was complete when reading failed; the open event is read again from its first row. */
  breakOff(): FileChunk | undefined {
    const open = this.#open
    if (this.#isEmpty || !open) return undefined
    return this.#take({ row: open.firstRow, highestId: open.highestId })
  }

  get #isEmpty(): boolean {
    return this.#builder.events + this.#rejected.length === 0
  }

  get #isFull(): boolean {
    const { events, pulses } = this.#builder
    return events + this.#rejected.length >= this.#options.eventsMax || pulses >= CHUNK_PULSES_MAX
  }

  async #begin(id: bigint, row: number): Promise<void> {
    const { seen, file } = this.#options
    const highestId = seen.highest
    const isRepeat = await seen.isRepeat(id, row)
    const message = `${file} row ${row}: event ${id} comes again; rows of one event must be neighbours`
    const rejection = isRepeat ? ({ code: 'event_id_repeated', message } as const) : undefined
    this.#open = { id, firstRow: row, highestId, rejection }
  }

  #extend(rows: PulseRows, from: number, to: number, fault: PulseFault | undefined): void {
    const open = this.#open
    if (!open) return
    if (fault) open.rejection ??= this.#toReason(fault, rows.firstRow + from)
    open.rejection ??= this.#orphan
    this.#orphan = undefined
    if (!open.rejection && this.#builder.openPulses + to - from > EVENT_PULSES_MAX) {
      const message = `${this.#options.file} row ${open.firstRow}: event ${open.id} has more than ${EVENT_PULSES_MAX} pulses`
      open.rejection = { code: 'source_value_invalid', message }
    }
    if (open.rejection) this.#builder.dropOpen()
    else this.#builder.append(rows, from, to)
  }

  #close(): void {
    const open = this.#open
    if (open?.rejection) this.#rejected.push({ eventId: open.id, ...open.rejection })
    else if (open) this.#builder.keepOpen(open.id)
    if (this.#orphan) this.#rejected.push({ eventId: undefined, ...this.#orphan })
    this.#open = undefined
    this.#orphan = undefined
  }

  #take(next: FilePlace | undefined): FileChunk {
    const rejected = this.#rejected
    this.#rejected = []
    return { events: this.#builder.take(this.#options.truthOf), rejected, next }
  }

  #toReason({ column, value }: PulseFault, row: number): Reason {
    const message = `${this.#options.file} row ${row}: ${column} is ${value}, which the event form cannot hold`
    return { code: 'source_value_invalid', message }
  }
}

/** Index after the last of the rows from `from` on that have its event id. */
function endOfRun(words: Int32Array, from: number, count: number): number {
  const low = words[2 * from]
  const high = words[2 * from + 1]
  let to = from + 1
  while (to < count && words[2 * to] === low && words[2 * to + 1] === high) to++
  return to
}
