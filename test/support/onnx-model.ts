/**
 * Writes small ONNX networks by hand, so that tests need no Python: the few protobuf messages of onnx.proto that a
 * network of plain operators needs. Source of field numbers: onnx/onnx.proto, IR version 9.
 */
export interface Graph {
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  readonly nodes: readonly GraphNode[]
  readonly constants?: Readonly<Record<string, Constant>>
}

export interface Value {
  readonly name: string
  readonly dtype: keyof typeof ELEMENT_TYPES
  /** Text dimensions are free. */
  readonly shape: readonly (number | string)[]
  /** A sequence of such tensors. */
  readonly isSequence?: boolean
}

export interface GraphNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Whole numbers, or the body of a loop. */
  readonly attributes?: Readonly<Record<string, number | readonly number[] | Graph>>
}

export interface Constant {
  readonly dtype: 'float32' | 'int64'
  readonly shape: readonly number[]
  readonly data: readonly number[]
  /** The values are at the beginning of this file next to the model. */
  readonly file?: string
}

export const ELEMENT_TYPES = {
  ...{ float16: 10, float32: 1, int32: 6, int64: 7, bool: 9, float64: 11 },
  ...{ string: 8, bfloat16: 16 },
} as const
const INT = 2
const GRAPH = 5
const INTS = 7

export function encodeOnnx(network: Graph): Uint8Array {
  return join([
    number(1, 9),
    field(7, encodeGraph(network)),
    field(8, join([field(1, text('')), number(2, 17)])),
  ])
}

function encodeGraph({ inputs, outputs, nodes, constants = {} }: Graph): Uint8Array {
  return join([
    ...nodes.map((node) => field(1, encodeNode(node))),
    field(2, text('test')),
    ...Object.entries(constants).map(([name, constant]) => field(5, encodeConstant(name, constant))),
    ...inputs.map((value) => field(11, encodeValue(value))),
    ...outputs.map((value) => field(12, encodeValue(value))),
  ])
}

function encodeNode({ op, inputs, outputs, attributes = {} }: GraphNode): Uint8Array {
  return join([
    ...inputs.map((name) => field(1, text(name))),
    ...outputs.map((name) => field(2, text(name))),
    field(4, text(op)),
    ...Object.entries(attributes).map(([name, value]) => field(5, encodeAttribute(name, value))),
  ])
}

function encodeAttribute(name: string, value: number | readonly number[] | Graph): Uint8Array {
  if (typeof value === 'number') return join([field(1, text(name)), number(3, value), number(20, INT)])
  if ('nodes' in value) return join([field(1, text(name)), field(6, encodeGraph(value)), number(20, GRAPH)])
  return join([field(1, text(name)), ...value.map((item) => number(8, item)), number(20, INTS)])
}

/** The values as stored in the model, or in a file next to it. */
export function constantBytes({ dtype, data }: Constant): Uint8Array {
  const raw = dtype === 'float32' ? Float32Array.from(data) : BigInt64Array.from(data, BigInt)
  return new Uint8Array(raw.buffer)
}

function encodeConstant(name: string, constant: Constant): Uint8Array {
  const { dtype, shape, file } = constant
  const entry = (key: string, value: string) => field(13, join([field(1, text(key)), field(2, text(value))]))
  return join([
    ...shape.map((size) => number(1, size)),
    number(2, ELEMENT_TYPES[dtype]),
    field(8, text(name)),
    file === undefined ? field(9, constantBytes(constant)) : join([entry('location', file), number(14, 1)]),
  ])
}

function encodeValue({ name, dtype, shape, isSequence = false }: Value): Uint8Array {
  const dims = shape.map((size) =>
    field(1, typeof size === 'number' ? number(1, size) : field(2, text(size))),
  )
  const tensor = join([number(1, ELEMENT_TYPES[dtype]), field(2, join(dims))])
  const type = isSequence ? field(4, field(1, field(1, tensor))) : field(1, tensor)
  return join([field(1, text(name)), field(2, type)])
}

/** A field of length-delimited bytes. */
function field(id: number, bytes: Uint8Array): Uint8Array {
  return join([varint((id << 3) | 2), varint(bytes.length), bytes])
}

function number(id: number, value: number): Uint8Array {
  return join([varint(id << 3), varint(value)])
}

/** Negative numbers as 64-bit two's complement. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Uint8Array.from(bytes)
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
