import {
  AsyncByteQueue,
  type DataType,
  Field,
  Float32,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Uint8,
  Uint16,
} from 'apache-arrow'
import { UTC_UNKNOWN } from './event-batch.ts'

export type ColumnArray = BigInt64Array | Int32Array | Uint16Array | Uint8Array | Float32Array | Float64Array

/** A column to write. With `offsets`, row `i` is the list of values `offsets[i]` to `offsets[i + 1]` (exclusive). */
export interface ColumnToWrite {
  readonly name: string
  readonly values: ColumnArray
  /** Ascending from 0 to the length of `values`. [rows + 1] */
  readonly offsets?: Int32Array
  /** NaN is written as null, and so is an integer of 64 bits that is `UTC_UNKNOWN`. */
  readonly nullable?: boolean
}

/**
 * One Arrow IPC stream of one record batch: columns of `rows` rows, and the schema's metadata.
 * @throws RangeError where a column has more or fewer rows, or a list column more or fewer values than its offsets say
 */
export function writeArrowStream(
  columns: readonly ColumnToWrite[],
  rows: number,
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  const children = columns.map((column) => toData(column, rows))
  const fields = columns.map(
    ({ name, nullable = false }, i) => new Field<DataType>(name, children[i].type, nullable),
  )
  const type = new Struct(fields)
  const batch = new RecordBatch(
    new Schema(fields, new Map(metadata)),
    makeData({ type, length: rows, nullCount: 0, children }),
  )
  const written = new WrittenChunks()
  const writer = new RecordBatchStreamWriter().reset(written)
  writer.write(batch)
  writer.finish()
  return written.join()
}

/**
 * Keeps what a writer writes. Arrow's own queue joins neighbours that overlap in memory into their union when it hands
 * out its bytes: columns that are views of one buffer, or lists that share their offsets, would lose bytes.
 */
class WrittenChunks extends AsyncByteQueue {
  readonly #chunks: Uint8Array[] = []
  #length = 0

  override write(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
  }

  join(): Uint8Array {
    const joined = new Uint8Array(this.#length)
    let at = 0
    for (const chunk of this.#chunks) {
      joined.set(chunk, at)
      at += chunk.length
    }
    return joined
  }
}

function toData({ name, values, offsets, nullable }: ColumnToWrite, rows: number) {
  if ((offsets ? offsets.length - 1 : values.length) !== rows) {
    throw new RangeError(
      `column ${name} has ${offsets ? offsets.length - 1 : values.length} rows in a batch of ${rows}`,
    )
  }
  if (!offsets) return toPlainData(values, nullable ? nullsOf(values) : undefined)
  if (offsets[rows] !== values.length) {
    throw new RangeError(`column ${name} has ${values.length} values; its offsets end at ${offsets[rows]}`)
  }
  const child = toPlainData(values)
  const type = new List(new Field<DataType>('item', child.type, false))
  return makeData({ type, length: rows, nullCount: 0, valueOffsets: offsets, child })
}

function toPlainData(values: ColumnArray, nulls?: Nulls) {
  const common = { length: values.length, nullCount: 0, ...nulls }
  if (values instanceof BigInt64Array) return makeData({ ...common, type: new Int64(), data: values })
  if (values instanceof Int32Array) return makeData({ ...common, type: new Int32(), data: values })
  if (values instanceof Uint16Array) return makeData({ ...common, type: new Uint16(), data: values })
  if (values instanceof Uint8Array) return makeData({ ...common, type: new Uint8(), data: values })
  if (values instanceof Float32Array) return makeData({ ...common, type: new Float32(), data: values })
  return makeData({ ...common, type: new Float64(), data: values })
}

interface Nulls {
  readonly nullCount: number
  readonly nullBitmap: Uint8Array
}

function isNull(value: number | bigint): boolean {
  return typeof value === 'bigint' ? value === UTC_UNKNOWN : Number.isNaN(value)
}

/** What is null, as Arrow's validity bitmap: a set bit is a value that is there. */
function nullsOf(values: ColumnArray): Nulls | undefined {
  const nullBitmap = new Uint8Array(Math.ceil(values.length / 8))
  let nullCount = 0
  for (let i = 0; i < values.length; i++) {
    if (isNull(values[i])) nullCount++
    else nullBitmap[i >> 3] |= 1 << (i & 7)
  }
  return nullCount === 0 ? undefined : { nullCount, nullBitmap }
}
