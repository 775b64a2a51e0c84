import { dirname } from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { loadableOnnx } from '../model/onnx-file.ts'
import {
  type GraphInfo,
  isDtype,
  type NamedTensors,
  type Tensor,
  type TensorInfo,
} from '../tensors/tensor.ts'

/** A network in ONNX Runtime, on one thread. `run` blocks the thread that it is called on. */
export interface OnnxSession {
  readonly graph: GraphInfo
  /** Outputs of the names asked for (all without names), in memory of their own. One run at a time. */
  run(inputs: NamedTensors, outputs?: readonly string[]): Promise<NamedTensors>
  /** Call once, after the last run has ended. */
  release(): Promise<void>
}

/**
 * `outputs` are those that will be read; others of a type that JavaScript has no array for are left out.
 * @throws Error of ONNX Runtime when the file is not a network that it can run
 */
export async function openOnnxSession(path: string, outputs: readonly string[] = []): Promise<OnnxSession> {
  const network = await loadableOnnx(path, outputs)
  // One thread per session, several sessions: measured twice as fast as one session with two threads.
  const options: InferenceSession.SessionOptions = {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
  }
  const session =
    typeof network === 'string'
      ? await InferenceSession.create(network, options)
      : await InferenceSession.create(network, {
          ...options,
          // Where weights beside the file are; bytes alone do not tell.
          extra: { session: { model_external_initializers_file_folder_path: dirname(path) } },
        })
  return {
    graph: {
      inputs: session.inputMetadata.map(toTensorInfo),
      outputs: session.outputMetadata.map(toTensorInfo),
    },
    async run(inputs, outputs) {
      const feeds: Record<string, OrtTensor> = {}
      for (const [name, tensor] of Object.entries(inputs)) feeds[name] = toOrt(tensor)
      const results = outputs ? await session.run(feeds, outputs) : await session.run(feeds)
      return Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [name, fromOrt(name, tensor)]),
      )
    },
    release: () => session.release(),
  }
}

function toTensorInfo(value: InferenceSession.ValueMetadata): TensorInfo {
  if (!value.isTensor) throw new Error(`"${value.name}" is not a tensor`)
  if (!isDtype(value.type)) throw new Error(`"${value.name}" has elements of type ${value.type}`)
  return { name: value.name, dtype: value.type, shape: [...value.shape] }
}

function toOrt({ dtype, data, shape }: Tensor): OrtTensor {
  if (!(data instanceof Float16Array)) return new OrtTensor(dtype, data, shape)
  // ONNX Runtime's JavaScript wants halves as a Float16Array, its native part reads them as a Uint16Array of their bits.
  const bits = new Uint16Array(data.buffer, data.byteOffset, data.length)
  return Object.defineProperty(new OrtTensor('float16', bits, shape), 'data', { value: bits })
}

function fromOrt(name: string, { type, dims, data }: OrtTensor): Tensor {
  if (!isDtype(type) || Array.isArray(data))
    throw new Error(`the output "${name}" has elements of type ${type}`)
  return { dtype: type, shape: dims, data }
}
