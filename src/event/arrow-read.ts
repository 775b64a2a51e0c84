import { EventError } from '../errors.ts'
import { type ArrowSchema, readSchema } from './arrow-schema.ts'
import { type FlatTable, flatRoot } from './flatbuffer.ts'

/** One record batch as its metadata describes it; none of the figures is checked against another yet. */
export interface ArrowRecordBatch {
  readonly rows: number
  /** One per column and per child of a column, depth first: how many rows, how many of them null. */
  readonly nodes: readonly (readonly [rows: number, nulls: number])[]
  /** Where the buffers of each node lie in the body, in bytes. */
  readonly buffers: readonly (readonly [offset: number, length: number])[]
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
  for (const { kind, header, body } of messages(bytes)) {
    if (kind === MESSAGE.schema) {
      if (schema) throw unreadable('a second schema in one Arrow stream')
      schema = readSchema(header)
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
  return { rows: header.int64(0), nodes: pairs(1), buffers: pairs(2), body }
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
  return { kind: message.uint8(1), header, body: bytes.subarray(bodyAt, bodyAt + bodyBytes) }
}
