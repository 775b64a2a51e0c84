import { type FileHandle, open, readFile } from 'node:fs/promises'
import { isDtype } from '../tensors/tensor.ts'

/** An output as the file declares it. */
export interface DeclaredOutput {
  readonly name: string
  /** Element type of a tensor, such as `float32` or `bfloat16`; otherwise `sequence`, `map`, `optional` or `unknown`. */
  readonly type: string
}

// Field numbers and element types: onnx/onnx.proto, IR version 11.
const MODEL_GRAPH = 7
const GRAPH_OUTPUT = 12
const VALUE = { name: 1, type: 2 } as const
const KINDS: ReadonlyMap<number, string> = new Map([
  [4, 'sequence'],
  [5, 'map'],
  [8, 'sparse tensor'],
  [9, 'optional'],
])
const TENSOR = 1
const ELEMENT_TYPES = [
  ...['unknown', 'float32', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool'],
  ...['float16', 'float64', 'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16'],
]

/**
 * The outputs that an ONNX file declares. Reads only the file's structure, not its weights; undefined where the file is
 * not a protobuf message.
 */
export async function declaredOutputs(path: string): Promise<DeclaredOutput[] | undefined> {
  await using file = await open(path)
  try {
    const outputs: DeclaredOutput[] = []
    for (const value of await outputFields(windowed(file), (await file.stat()).size)) {
      const bytes = Buffer.alloc(value.to - value.from)
      await file.read(bytes, 0, bytes.length, value.from)
      outputs.push(readValue(bytes))
    }
    return outputs
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/**
 * What to load of an ONNX file: its path, or its bytes without the outputs that ONNX Runtime cannot hand to JavaScript
 * (sequences, maps, text, bfloat16 and the like). Outputs that are read must be tensors of numbers.
 * @throws Error naming an output that is read and is not
 */
export async function loadableOnnx(path: string, read: readonly string[]): Promise<string | Uint8Array> {
  const strange = ((await declaredOutputs(path)) ?? []).filter(({ type }) => !isDtype(type))
  const unusable = strange.find(({ name }) => read.includes(name))
  if (unusable !== undefined) {
    const remedy = 'convert it to a tensor of float32 in the export'
    throw new Error(
      `the output "${unusable.name}", which the manifest reads, is a ${unusable.type}: ${remedy}`,
    )
  }
  if (strange.length === 0) return path
  return withoutOutputs(await readFile(path), new Set(strange.map(({ name }) => name)))
}

interface Field {
  readonly id: number
  /** Where the field's tag begins. */
  readonly start: number
  /** The bytes of the value. */
  readonly from: number
  readonly to: number
}

/** Some bytes from a place of a message; fewer at its end. */
type ReadAt = (at: number) => Uint8Array | Promise<Uint8Array>

/** The longest tag and length of a field together. */
const HEADER_BYTES = 20
const WINDOW_BYTES = 65_536

/** Reads a file in windows: fields come in order, and most are short. */
function windowed(file: FileHandle): ReadAt {
  const window = Buffer.alloc(WINDOW_BYTES)
  let [from, to] = [0, 0]
  return async (at) => {
    if (at < from || at + HEADER_BYTES > to) {
      const { bytesRead } = await file.read(window, 0, WINDOW_BYTES, at)
      ;[from, to] = [at, at + bytesRead]
    }
    return window.subarray(at - from, to - from)
  }
}

async function outputFields(read: ReadAt, size: number): Promise<Field[]> {
  const outputs: Field[] = []
  for await (const graph of fieldsOf(read, 0, size)) {
    if (graph.id !== MODEL_GRAPH) continue
    for await (const field of fieldsOf(read, graph.from, graph.to))
      if (field.id === GRAPH_OUTPUT) outputs.push(field)
  }
  return outputs
}

/** The fields of a message at `from` to `to`. @throws RangeError where they are not fields */
async function* fieldsOf(read: ReadAt, from: number, to: number): AsyncGenerator<Field> {
  for (let at = from; at < to; ) {
    const field = fieldAt(await read(at), at, to)
    yield field
    at = field.to
  }
}

function fieldAt(bytes: Uint8Array, at: number, end: number): Field {
  const tag = varint(bytes, 0)
  const size = sizeOf(bytes, tag)
  const from = at + size.headerBytes
  const to = from + size.valueBytes
  if (to > end) throw new RangeError('a field is longer than its message')
  return { id: Math.floor(tag.value / 8), start: at, from, to }
}

interface Varint {
  readonly value: number
  /** Where the next value begins. */
  readonly next: number
}

function sizeOf(bytes: Uint8Array, tag: Varint): { headerBytes: number; valueBytes: number } {
  switch (tag.value % 8) {
    case 0:
      return { headerBytes: tag.next, valueBytes: varint(bytes, tag.next).next - tag.next }
    case 1:
      return { headerBytes: tag.next, valueBytes: 8 }
    case 2: {
      const length = varint(bytes, tag.next)
      return { headerBytes: length.next, valueBytes: length.value }
    }
    case 5:
      return { headerBytes: tag.next, valueBytes: 4 }
    default:
      throw new RangeError('an unknown kind of field')
  }
}

/** Exact up to 2^53. */
function varint(bytes: Uint8Array, at: number): Varint {
  let [value, factor] = [0, 1]
  for (let i = at; i < bytes.length && i < at + 10; i++) {
    value += (bytes[i] % 128) * factor
    if (bytes[i] < 128) return { value, next: i + 1 }
    factor *= 128
  }
  throw new RangeError('a number does not end')
}

function fieldsIn(bytes: Uint8Array): Field[] {
  const fields: Field[] = []
  for (let at = 0; at < bytes.length; ) {
    const field = fieldAt(bytes.subarray(at), at, bytes.length)
    fields.push(field)
    at = field.to
  }
  return fields
}

function readValue(bytes: Uint8Array): DeclaredOutput {
  let [name, type] = ['', 'unknown']
  for (const { id, from, to } of fieldsIn(bytes)) {
    if (id === VALUE.name) name = Buffer.from(bytes.subarray(from, to)).toString()
    if (id === VALUE.type) type = readType(bytes.subarray(from, to))
  }
  return { name, type }
}

function readType(bytes: Uint8Array): string {
  for (const { id, from, to } of fieldsIn(bytes)) {
    if (id !== TENSOR) return KINDS.get(id) ?? 'unknown'
    const tensor = bytes.subarray(from, to)
    const element = fieldsIn(tensor).find((field) => field.id === 1)
    return ELEMENT_TYPES[element ? varint(tensor, element.from).value : 0] ?? 'unknown'
  }
  return 'unknown'
}

function withoutOutputs(model: Buffer, names: ReadonlySet<string>): Uint8Array {
  const parts: Uint8Array[] = []
  for (const field of fieldsIn(model)) {
    if (field.id !== MODEL_GRAPH) {
      parts.push(model.subarray(field.start, field.to))
      continue
    }
    const graph = model.subarray(field.from, field.to)
    const kept = fieldsIn(graph).filter(
      ({ id, from, to }) => id !== GRAPH_OUTPUT || !names.has(readValue(graph.subarray(from, to)).name),
    )
    const bytes = Buffer.concat(kept.map(({ start, to }) => graph.subarray(start, to)))
    parts.push(lengthPrefixed(MODEL_GRAPH, bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

/** Tag and length of a field of bytes. */
function lengthPrefixed(id: number, length: number): Uint8Array {
  const bytes = [id * 8 + 2]
  for (let rest = length; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : (rest % 128) + 128)
    if (rest < 128) return Uint8Array.from(bytes)
  }
}
