import { EventError } from '../errors.ts'
import { type ArrowField, type ArrowRecordBatch, type ArrowSchema, unreadable } from './arrow-read.ts'

/** A column of the schema, and where its nodes and buffers begin in each record batch. */
export interface ColumnPlace {
  readonly field: ArrowField
  readonly node: number
  readonly buffer: number
  /** Columns of views before it, whose further buffers come first. */
  readonly views: number
  /** A column before it whose layout we do not know, and with it this column's place. */
  readonly hiddenBy: ArrowField | undefined
}

/** A value type of ours: its name in Arrow, and the array that holds it. */
export interface ValueType<T> {
  readonly name: string
  readonly Array: TypedArrayOf<T>
}

interface TypedArrayOf<T> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T
}

export const int64: ValueType<BigInt64Array> = { name: 'int64', Array: BigInt64Array }
export const int32: ValueType<Int32Array> = { name: 'int32', Array: Int32Array }
export const uint16: ValueType<Uint16Array> = { name: 'uint16', Array: Uint16Array }
export const uint8: ValueType<Uint8Array> = { name: 'uint8', Array: Uint8Array }
export const float32: ValueType<Float32Array> = { name: 'float32', Array: Float32Array }
export const float64: ValueType<Float64Array> = { name: 'float64', Array: Float64Array }

export interface Values<T> {
  readonly values: T
  /** Arrow's validity bitmap, or undefined where no value is null. */
  readonly valid: Uint8Array | undefined
}

export interface Lists<T> extends Values<T> {
  /** As they came: neither their order nor their end is checked. [rows + 1] */
  readonly offsets: Int32Array
  readonly validLists: Uint8Array | undefined
}

/** Columns by name, each with its place. Columns that nobody asks for are stepped over. */
export function placeColumns(schema: ArrowSchema): Map<string, ColumnPlace> {
  const places = new Map<string, ColumnPlace>()
  const next: FieldSize = { nodes: 0, buffers: 0, views: 0, unknown: undefined }
  for (const field of schema.fields) {
    if (places.has(field.name)) throw mismatch(`column ${field.name} appears twice`)
    const { nodes: node, buffers: buffer, views, unknown: hiddenBy } = next
    places.set(field.name, { field, node, buffer, views, hiddenBy })
    addSize(next, field)
  }
  return places
}

/** @throws EventError `wire_schema_mismatch` naming the column, the type found and the type wanted */
export function wantColumn(
  places: ReadonlyMap<string, ColumnPlace>,
  name: string,
  types: readonly string[],
): ColumnPlace {
  const place = places.get(name)
  if (!place) throw mismatch(`column ${name} is missing; wanted ${types[0]}`)
  if (!types.includes(place.field.type)) {
    throw mismatch(`column ${name} is ${place.field.type}; wanted ${types[0]}`)
  }
  const { hiddenBy } = place
  if (hiddenBy) {
    throw mismatch(
      `column ${hiddenBy.name} is ${hiddenBy.type}, which cannot be stepped over; put it last or leave it out`,
    )
  }
  return place
}

export function mismatch(message: string): EventError {
  return new EventError('wire_schema_mismatch', message)
}

/** Values of a plain column, one per row: a view of the bytes that came, or a copy where those are not aligned. */
export function readValues<T>(batch: ArrowRecordBatch, place: ColumnPlace, type: ValueType<T>): Values<T> {
  return readRows(batch, { ...inBatch(batch, place), rows: batch.rows }, type)
}

/** Lists and their values, as views where alignment allows. */
export function readLists<T>(batch: ArrowRecordBatch, place: ColumnPlace, type: ValueType<T>): Lists<T> {
  const at = inBatch(batch, place)
  const { field, node, buffer } = at
  const rows = checkedRows(batch, node, field.name, batch.rows)
  const [valueRows] = nodeAt(batch, node + 1)
  const values = readRows(
    batch,
    // A list has two buffers, validity and offsets; its values' come next.
    { field, node: node + 1, buffer: buffer + 2, rows: valueRows },
    type,
  )
  return {
    ...values,
    offsets: readOffsets(batch, at, rows),
    validLists: readValidity(batch, at, rows),
  }
}

/** Whether a value is there, by Arrow's validity bitmap. */
export function isValid(valid: Uint8Array | undefined, index: number): boolean {
  return valid === undefined || (valid[index >> 3] & (1 << (index & 7))) !== 0
}

/** A column's nodes and buffers in one record batch. */
type BatchPlace = Pick<ColumnPlace, 'field' | 'node' | 'buffer'>

function inBatch({ viewBuffers }: ArrowRecordBatch, { field, node, buffer, views }: ColumnPlace): BatchPlace {
  if (viewBuffers.length < views) {
    throw unreadable(
      `a record batch tells of the buffers of ${viewBuffers.length} columns of views; it has ${views}`,
    )
  }
  return { field, node, buffer: viewBuffers.slice(0, views).reduce((sum, count) => sum + count, buffer) }
}

function readRows<T>(
  batch: ArrowRecordBatch,
  place: BatchPlace & { readonly rows: number },
  type: ValueType<T>,
): Values<T> {
  const rows = checkedRows(batch, place.node, place.field.name, place.rows)
  return {
    values: viewBuffer(batch, place.buffer + 1, rows, type),
    valid: readValidity(batch, place, rows),
  }
}

function nodeAt({ nodes }: ArrowRecordBatch, index: number): readonly [rows: number, nulls: number] {
  if (index >= nodes.length)
    throw unreadable(`a record batch has ${nodes.length} nodes; node ${index} is missing`)
  return nodes[index]
}

function checkedRows(batch: ArrowRecordBatch, node: number, name: string, rows: number): number {
  const [length] = nodeAt(batch, node)
  // Bodies are held in memory, so no true count is near the bound of an int32 offset.
  if (length !== rows || length < 0 || length > 0x7fffffff) {
    throw unreadable(`column ${name} has ${length} rows in a record batch of ${rows}`)
  }
  return length
}

function readOffsets(batch: ArrowRecordBatch, { field, buffer }: BatchPlace, rows: number): Int32Array {
  // A writer may leave the buffer out where there is no list.
  if (rows === 0) return new Int32Array(1)
  if (!field.type.startsWith('large_')) return viewBuffer(batch, buffer + 1, rows + 1, int32)
  const wide = viewBuffer(batch, buffer + 1, rows + 1, int64)
  // What an int32 cannot hold becomes -1, which no check of offsets lets through.
  return Int32Array.from(wide, (offset) => (offset >= 0n && offset <= 0x7fffffffn ? Number(offset) : -1))
}

function readValidity(batch: ArrowRecordBatch, place: BatchPlace, rows: number): Uint8Array | undefined {
  const [, nulls] = nodeAt(batch, place.node)
  return nulls === 0 ? undefined : viewBuffer(batch, place.buffer, Math.ceil(rows / 8), uint8)
}

function viewBuffer<T>(batch: ArrowRecordBatch, index: number, count: number, type: ValueType<T>): T {
  const [offset, length] = batch.buffers[index] ?? [0, -1]
  const { body } = batch
  const wantedBytes = count * type.Array.BYTES_PER_ELEMENT
  if (offset < 0 || length < wantedBytes || offset + wantedBytes > body.length) {
    const found = length < 0 ? 'is missing' : `has ${length} bytes at ${offset} of ${body.length}`
    throw unreadable(
      `buffer ${index} of a record batch ${found}; ${count} values of ${type.name} need ${wantedBytes}`,
    )
  }
  const at = body.byteOffset + offset
  if (at % type.Array.BYTES_PER_ELEMENT === 0) return new type.Array(body.buffer, at, count)
  return new type.Array(body.slice(offset, offset + wantedBytes).buffer, 0, count)
}

/** What columns take in a record batch. */
interface FieldSize {
  nodes: number
  buffers: number
  /** Columns and values inside columns that are views. */
  views: number
  /** The first field of a layout that we do not know; the figures do not count it. */
  unknown: ArrowField | undefined
}

function addSize(sum: FieldSize, field: ArrowField): void {
  if (field.buffers === undefined) sum.unknown ??= field
  sum.nodes++
  sum.buffers += field.buffers ?? 0
  sum.views += Number(field.isView)
  for (const child of field.children) addSize(sum, child)
}
