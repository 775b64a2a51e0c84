import type { EventErrorCode } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'
import type { PulseFault, PulseRows } from '../formats/parquet/read.ts'
import type { RejectedEvent } from './source.ts'

/** Where reading a file continues. */
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
  /** Why rows after the open event have no readable id. They are the open event's if it continues after them. */
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
    return { events: this.#builder.take(), rejected, next }
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

const INITIAL_PULSES = 32_768

/**
 * Events under construction, in arrays that grow and are used again: pulses are appended to the open event, which is
 * then kept or dropped.
 */
export class EventBuilder {
  #eventIds: bigint[] = []
  #offsets: number[] = [0]
  #pulses = 0
  #sensorIds = new Uint16Array(INITIAL_PULSES)
  #times = new Float32Array(INITIAL_PULSES)
  #charges = new Float32Array(INITIAL_PULSES)
  #auxiliary = new Uint8Array(INITIAL_PULSES)

  /** Events that are kept. */
  get events(): number {
    return this.#eventIds.length
  }

  /** Pulses of the events that are kept. */
  get pulses(): number {
    return this.#offsets[this.#offsets.length - 1]
  }

  get openPulses(): number {
    return this.#pulses - this.pulses
  }

  /** Appends rows `from` to `to` (exclusive) to the open event. */
  append(rows: PulseRows, from: number, to: number): void {
    const at = this.#pulses
    this.#reserve(at + to - from)
    this.#sensorIds.set(rows.sensorIds.subarray(from, to), at)
    this.#times.set(rows.times.subarray(from, to), at)
    this.#charges.set(rows.charges.subarray(from, to), at)
    this.#auxiliary.set(rows.auxiliary.subarray(from, to), at)
    this.#pulses += to - from
  }

  keepOpen(eventId: bigint): void {
    this.#eventIds.push(eventId)
    this.#offsets.push(this.#pulses)
  }

  dropOpen(): void {
    this.#pulses = this.pulses
  }

  /** The events that are kept, in arrays of their own; then begins anew. An open event is dropped. */
  take(): EventBatch {
    const pulses = this.pulses
    const batch: EventBatch = {
      eventIds: BigInt64Array.from(this.#eventIds),
      offsets: Int32Array.from(this.#offsets),
      sensorIds: this.#sensorIds.slice(0, pulses),
      times: this.#times.slice(0, pulses),
      charges: this.#charges.slice(0, pulses),
      auxiliary: this.#auxiliary.slice(0, pulses),
    }
    this.#eventIds = []
    this.#offsets = [0]
    this.#pulses = 0
    return batch
  }

  #reserve(pulses: number): void {
    if (pulses <= this.#times.length) return
    const capacity = 2 ** Math.ceil(Math.log2(pulses))
    this.#sensorIds = copyInto(new Uint16Array(capacity), this.#sensorIds)
    this.#times = copyInto(new Float32Array(capacity), this.#times)
    this.#charges = copyInto(new Float32Array(capacity), this.#charges)
    this.#auxiliary = copyInto(new Uint8Array(capacity), this.#auxiliary)
  }
}

function copyInto<T extends { set(from: T): void }>(into: T, from: T): T {
  into.set(from)
  return into
}

/** The last so many ids are remembered at least, twice as many at most: a Kaggle file has 200,000 events. */
const IDS_MIN = 500_000

/**
 * Tells an event id that came before. While ids ascend, as in Kaggle's files, the highest is all that needs to be
 * known; the others are loaded when one first comes out of order.
 */
export class SeenIds {
  #highest: bigint | undefined
  #recent: Set<bigint> | undefined
  /** Those before `#recent`: forgetting a set as a whole is cheap, forgetting the oldest of one is not. */
  #older = new Set<bigint>()
  readonly #load: (toRow: number) => AsyncIterable<bigint>

  /** `load` gives the ids before a row of the file; `highest` is the highest of those read so far. */
  constructor(load: (toRow: number) => AsyncIterable<bigint>, highest: bigint | undefined) {
    this.#load = load
    this.#highest = highest
  }

  get highest(): bigint | undefined {
    return this.#highest
  }

  /** Whether the id, which begins at `row`, came in a row before; it counts as seen from now on. */
  isRepeat(id: bigint, row: number): boolean | Promise<boolean> {
    if (this.#highest !== undefined && id <= this.#highest) return this.#find(id, row)
    this.#highest = id
    if (this.#recent) this.#add(id)
    return false
  }

  async #find(id: bigint, row: number): Promise<boolean> {
    if (!this.#recent) {
      this.#recent = new Set()
      for await (const before of this.#load(row)) this.#add(before)
    }
    if (this.#recent.has(id) || this.#older.has(id)) return true
    this.#add(id)
    return false
  }

  #add(id: bigint): void {
    if (!this.#recent || this.#recent.size >= IDS_MIN) {
      this.#older = this.#recent ?? this.#older
      this.#recent = new Set()
    }
    this.#recent.add(id)
  }
}
