import { EventError } from '../errors.ts'

/** One record batch as its metadata describes it; none of the figures is checked against another yet. */
export interface ArrowRecordBatch {
  readonly rows: number
  /** One per column and per child of a column, depth first: how many rows, how many of them null. */
  readonly nodes: readonly (readonly [rows: number, nulls: number])[]
  /** Where the buffers of each node lie in the body, in bytes. */
  readonly buffers: readonly (readonly [offset: number, length: number])[]
  /** Further buffers that each column of views has in this record batch, depth first. */
  readonly viewBuffers: readonly number[]
  readonly body: Uint8Array
}

export interface ArrowStream {
  readonly schema: ArrowSchema
  readonly batches: readonly ArrowRecordBatch[]
}

const CONTINUATION = 0xffffffff
const FILE_MAGIC = 'ARROW1'
const MESSAGE = { schema: 1, dictionary: 2, recordBatch: 3 } as const
/** Metadata versions V4 and V5 of Arrow, all since 2017; they differ in unions alone. */
const VERSION_MIN = 3
const VERSION_MAX = 4

interface Message {
  readonly kind: number
  readonly version: number
  readonly header: FlatTable
  readonly body: Uint8Array
}

/**
 * Reads the frame of an Arrow IPC stream (or of an Arrow file, which holds a stream) without copying a byte.
 * This is ours, where writing is left to apache-arrow, because that package's reader believes every length in the
 * metadata: a flipped bit can send it round a loop of 2^31 steps.
 * @throws EventError `wire_unreadable`
 */
export function readArrowStream(bytes: Uint8Array): ArrowStream {
  try {
    // A Node Buffer's slice() shares memory where a Uint8Array's copies; only the latter is meant from here on.
    return readStream(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw unreadable(`the Arrow metadata is damaged (${cause.message})`, { cause })
  }
}

export function unreadable(message: string, options?: ErrorOptions): EventError {
  return new EventError('wire_unreadable', message, options)
}

function readStream(bytes: Uint8Array): ArrowStream {
  let schema: ArrowSchema | undefined
  const batches: ArrowRecordBatch[] = []
  for (const { kind, version, header, body } of messages(bytes)) {
    if (kind === MESSAGE.schema) {
      if (schema) throw unreadable('a second schema in one Arrow stream')
      schema = readSchema(header, version)
    } else if (kind === MESSAGE.recordBatch) {
      batches.push(readRecordBatch(header, body))
    } else if (kind !== MESSAGE.dictionary) {
      // Dictionaries belong to columns that are not ours: a column of ours that is one fails by its type.
      throw unreadable(`unknown kind of Arrow message: ${kind}`)
    }
  }
  if (!schema) throw unreadable('an Arrow stream without a schema')
  return { schema, batches }
}

function readRecordBatch(header: FlatTable, body: Uint8Array): ArrowRecordBatch {
  if (header.table(3)) throw unreadable('the Arrow record batch is compressed; write it without compression')
  const pairs = (slot: number) =>
    Array.from({ length: header.lengthOf(slot, 16) }, (_, i) => header.int64PairAt(slot, i))
  const viewBuffers = Array.from({ length: header.lengthOf(4, 8) }, (_, i) => header.int64At(4, i))
  return { rows: header.int64(0), nodes: pairs(1), buffers: pairs(2), viewBuffers, body }
}

/** Messages up to the end marker, which is asked for: without it a cut between two messages would go unseen. */
function* messages(bytes: Uint8Array): Generator<Message> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const isFile = new TextDecoder().decode(bytes.subarray(0, FILE_MAGIC.length)) === FILE_MAGIC
  let at = isFile ? 8 : 0
  for (;;) {
    if (at + 8 > bytes.length) {
      throw unreadable(
        `${bytes.length} bytes hold no whole Arrow stream: it is cut off, or its writer was not closed`,
      )
    }
    if (view.getUint32(at, true) !== CONTINUATION) {
      throw unreadable(`not an Arrow IPC stream: no message begins at byte ${at} of ${bytes.length}`)
    }
    const headBytes = view.getUint32(at + 4, true)
    at += 8
    if (headBytes === 0) break
    const message = readMessage(bytes, at, headBytes)
    yield message
    at += headBytes + message.body.length
  }
  if (!isFile && at !== bytes.length) {
    throw unreadable(`${bytes.length - at} bytes follow the end of the Arrow stream`)
  }
}

function readMessage(bytes: Uint8Array, at: number, headBytes: number): Message {
  const bodyAt = at + headBytes
  if (bodyAt > bytes.length) {
    throw unreadable(`the Arrow stream is cut off: ${headBytes} bytes of metadata from byte ${at}`)
  }
  const message = flatRoot(bytes.subarray(at, bodyAt))
  const version = message.int16(0)
  if (version < VERSION_MIN || version > VERSION_MAX) {
    throw unreadable(`unknown Arrow metadata version ${version + 1}; versions 4 and 5 are read`)
  }
  const header = message.table(2)
  const bodyBytes = message.int64(3)
  if (!header || bodyBytes < 0) throw unreadable(`damaged Arrow message at byte ${at}`)
  if (bodyAt + bodyBytes > bytes.length) {
    throw unreadable(`the Arrow stream is cut off: a body of ${bodyBytes} bytes from byte ${bodyAt}`)
  }
  return { kind: message.uint8(1), version, header, body: bytes.subarray(bodyAt, bodyAt + bodyBytes) }
}

/** A column, or the values inside a list column, as an Arrow schema declares it. */
export interface ArrowField {
  readonly name: string
  /** In short: `int64`, `list<uint16>`, `dictionary<utf8>`. */
  readonly type: string
  /** Buffers of its own in a record batch, without its children's; undefined for a layout that we do not know. */
  readonly buffers: number | undefined
  /** Views have further buffers, as many as the record batch says. */
  readonly isView: boolean
  readonly children: readonly ArrowField[]
}

export interface ArrowSchema {
  readonly fields: readonly ArrowField[]
  /** Only keys that begin with `nustream.`. */
  readonly metadata: ReadonlyMap<string, string>
}

/** No schema of ours nests or grows so far; damaged bytes can, endlessly. */
const FIELDS_MAX = 1000
const DEPTH_MAX = 8
const METADATA_MAX = 1000
const STRING_BYTES_MAX = 4096

/** Number of a union in Arrow's `Schema.fbs`; its buffers depend on its mode and on the version. */
const UNION = 14
const VIEWS = [23, 24]

/** Name and number of own buffers by number of the type in Arrow's `Schema.fbs` (Columnar.rst gives the layouts). */
const LAYOUTS: Readonly<Record<number, readonly [name: string, buffers: number]>> = {
  1: ['null', 0],
  2: ['int', 2],
  3: ['float', 2],
  4: ['binary', 3],
  5: ['utf8', 3],
  6: ['bool', 2],
  7: ['decimal', 2],
  8: ['date', 2],
  9: ['time', 2],
  10: ['timestamp', 2],
  11: ['interval', 2],
  12: ['list', 2],
  13: ['struct', 1],
  14: ['union', 1],
  15: ['fixed_size_binary', 2],
  16: ['fixed_size_list', 1],
  17: ['map', 2],
  18: ['duration', 2],
  19: ['large_binary', 3],
  20: ['large_utf8', 3],
  21: ['large_list', 2],
  22: ['run_end_encoded', 0],
  23: ['binary_view', 2],
  24: ['utf8_view', 2],
  25: ['list_view', 3],
  26: ['large_list_view', 3],
}

/** What one schema may take to read. */
interface SchemaBudget {
  fields: number
  readonly version: number
}

/** @throws RangeError where the metadata points outside itself or nests without end */
function readSchema(header: FlatTable, version: number): ArrowSchema {
  if (header.int16(0) !== 0) throw new RangeError('big-endian')
  const budget = { fields: FIELDS_MAX, version }
  return { fields: readFields(header, 1, budget, 0), metadata: readMetadata(header) }
}

function readFields(parent: FlatTable, slot: number, budget: SchemaBudget, depth: number): ArrowField[] {
  const count = parent.lengthOf(slot, 4)
  budget.fields -= count
  if (budget.fields < 0 || depth > DEPTH_MAX) {
    throw new RangeError(`more than ${FIELDS_MAX} fields or ${DEPTH_MAX} levels`)
  }
  return Array.from({ length: count }, (_, i) => readField(parent.tableAt(slot, i), budget, depth))
}

function readField(field: FlatTable, budget: SchemaBudget, depth: number): ArrowField {
  const name = field.string(0, STRING_BYTES_MAX) ?? ''
  const children = readFields(field, 5, budget, depth + 1)
  const typeNumber = field.uint8(2)
  const layout = LAYOUTS[typeNumber]
  const type = typeName(layout?.[0] ?? `type number ${typeNumber}`, field.table(3), children)
  // The record batch holds indices in place of the values, without children.
  if (field.table(4)) return { name, type: `dictionary<${type}>`, buffers: 2, isView: false, children: [] }
  const buffers = typeNumber === UNION ? unionBuffers(field.table(3), budget.version) : layout?.[1]
  return { name, type, buffers, isView: VIEWS.includes(typeNumber), children }
}

/** Which child each value is of, where a dense one keeps it, and a validity bitmap before version 5. */
function unionBuffers(type: FlatTable | undefined, version: number): number {
  const isDense = type?.int16(0) === 1
  return 1 + Number(isDense) + Number(version < VERSION_MAX)
}

function typeName(name: string, type: FlatTable | undefined, children: readonly ArrowField[]): string {
  if (name === 'int') return `${type?.uint8(1) ? '' : 'u'}int${type?.int32(0)}`
  if (name === 'float') return ['float16', 'float32', 'float64'][type?.int16(0) ?? 0] ?? 'float'
  if (name === 'timestamp') return `timestamp[${['s', 'ms', 'us', 'ns'][type?.int16(0) ?? 0]}]`
  return children.length === 0 ? name : `${name}<${children.map((child) => child.type).join(', ')}>`
}

function readMetadata(header: FlatTable): Map<string, string> {
  const metadata = new Map<string, string>()
  const count = header.lengthOf(2, 4)
  if (count > METADATA_MAX) throw new RangeError(`${count} entries of metadata; at most ${METADATA_MAX}`)
  for (let i = 0; i < count; i++) {
    const pair = header.tableAt(2, i)
    const key = pair.string(0, 64)
    if (!key?.startsWith('nustream.')) continue
    const value = pair.string(1, STRING_BYTES_MAX)
    if (value !== undefined) metadata.set(key, value)
    else if (pair.lengthOf(1, 1) > 0)
      throw new RangeError(`${key} has ${pair.lengthOf(1, 1)} bytes; at most ${STRING_BYTES_MAX}`)
  }
  return metadata
}

/**
 * A table inside a flatbuffer, the form of Arrow's metadata. Every read stays inside the buffer and nothing is
 * allocated by what the bytes claim, so that on damaged bytes the worst is a RangeError. Fields are named by slot:
 * their place in the schema's declaration. Source: the FlatBuffers internals page, flatbuffers.dev.
 */
export class FlatTable {
  readonly #view: DataView
  readonly #start: number
  readonly #vtable: number
  readonly #vtableBytes: number

  constructor(view: DataView, start: number) {
    this.#view = view
    this.#start = start
    this.#vtable = start - view.getInt32(start, true)
    this.#vtableBytes = view.getUint16(this.#vtable, true)
  }

  uint8(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : this.#view.getUint8(at)
  }

  int16(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : this.#view.getInt16(at, true)
  }

  int32(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : this.#view.getInt32(at, true)
  }

  /** Rounded beyond 2^53: fit for lengths, which are checked against bytes at hand. */
  int64(slot: number): number {
    const at = this.#fieldAt(slot)
    return at === undefined ? 0 : Number(this.#view.getBigInt64(at, true))
  }

  table(slot: number): FlatTable | undefined {
    const at = this.#fieldAt(slot)
    return at === undefined ? undefined : new FlatTable(this.#view, at + this.#view.getUint32(at, true))
  }

  /** Undefined where the field is absent or longer than `bytesMax`. */
  string(slot: number, bytesMax: number): string | undefined {
    const vector = this.#vectorAt(slot, 1)
    if (vector === undefined || vector.length > bytesMax) return undefined
    const { buffer, byteOffset } = this.#view
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset + vector.first, vector.length))
  }

  /** Elements of a vector field; `strideBytes` is the size of one. */
  lengthOf(slot: number, strideBytes: number): number {
    return this.#vectorAt(slot, strideBytes)?.length ?? 0
  }

  /** Element of a vector of tables. */
  tableAt(slot: number, index: number): FlatTable {
    const at = this.#elementAt(slot, index, 4)
    return new FlatTable(this.#view, at + this.#view.getUint32(at, true))
  }

  /** Element of a vector of int64. */
  int64At(slot: number, index: number): number {
    return Number(this.#view.getBigInt64(this.#elementAt(slot, index, 8), true))
  }

  /** Element of a vector of structs of two int64, as Arrow's field nodes and buffers are. */
  int64PairAt(slot: number, index: number): [number, number] {
    const at = this.#elementAt(slot, index, 16)
    return [Number(this.#view.getBigInt64(at, true)), Number(this.#view.getBigInt64(at + 8, true))]
  }

  #fieldAt(slot: number): number | undefined {
    const entry = 4 + 2 * slot
    if (entry + 2 > this.#vtableBytes) return undefined
    const offset = this.#view.getUint16(this.#vtable + entry, true)
    return offset === 0 ? undefined : this.#start + offset
  }

  #elementAt(slot: number, index: number, strideBytes: number): number {
    const vector = this.#vectorAt(slot, strideBytes)
    if (vector === undefined || index >= vector.length) {
      throw new RangeError(`element ${index} of ${vector?.length ?? 0}`)
    }
    return vector.first + index * strideBytes
  }

  #vectorAt(slot: number, strideBytes: number): { first: number; length: number } | undefined {
    const at = this.#fieldAt(slot)
    if (at === undefined) return undefined
    const head = at + this.#view.getUint32(at, true)
    const length = this.#view.getUint32(head, true)
    if (head + 4 + length * strideBytes > this.#view.byteLength) {
      throw new RangeError(`vector of ${length} elements leaves the buffer`)
    }
    return { first: head + 4, length }
  }
}

export function flatRoot(bytes: Uint8Array): FlatTable {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return new FlatTable(view, view.getUint32(0, true))
}
