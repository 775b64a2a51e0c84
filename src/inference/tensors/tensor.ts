/** Element types of the Open Inference Protocol that ONNX Runtime's Node binding takes. */
export type Dtype =
  | 'float16'
  | 'float32'
  | 'float64'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint64'
  | 'uint32'
  | 'uint16'
  | 'uint8'
  | 'bool'

export type TensorData =
  | Float16Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array

/** Row-major. `bool` is held as Uint8Array of 0 and 1. */
export interface Tensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly data: TensorData
}

export type NamedTensors = Readonly<Record<string, Tensor>>

/** What a network says about one of its inputs or outputs. Text dimensions are free. */
export interface TensorInfo {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly (number | string)[]
}

export interface GraphInfo {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
}

const ARRAYS = {
  float16: Float16Array,
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const

export function isDtype(name: string): name is Dtype {
  return name in ARRAYS
}

/** Class of the array that holds elements of a type. */
export function arrayOf(dtype: Dtype): (typeof ARRAYS)[Dtype] {
  return ARRAYS[dtype]
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Names of element types in the Open Inference Protocol. */
const DATATYPES = {
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  int64: 'INT64',
  int32: 'INT32',
  int16: 'INT16',
  int8: 'INT8',
  uint64: 'UINT64',
  uint32: 'UINT32',
  uint16: 'UINT16',
  uint8: 'UINT8',
  bool: 'BOOL',
} as const satisfies Record<Dtype, string>

const DTYPES: ReadonlyMap<unknown, Dtype> = new Map(
  (Object.keys(DATATYPES) as Dtype[]).map((dtype) => [DATATYPES[dtype], dtype]),
)

export function datatypeOf(dtype: Dtype): string {
  return DATATYPES[dtype]
}

/** Undefined for a name of the protocol that no network of ours has, such as BYTES. */
export function dtypeOf(datatype: unknown): Dtype | undefined {
  return DTYPES.get(datatype)
}
