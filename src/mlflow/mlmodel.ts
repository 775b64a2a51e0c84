import { randomUUID } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { shapeOf } from '../inference/model/graph.ts'
import type { ModelManifest } from '../inference/model/manifest.ts'
import { declaredOutputs } from '../inference/model/onnx-file.ts'
import { outputNames } from '../inference/tensors/read-output.ts'

/** Python packages that MLflow needs to load the network. */
const REQUIREMENTS = ['mlflow>=3', 'onnx', 'onnxruntime', 'numpy', 'pandas']
const PYTHON = '3.11'

/** The files by which MLflow knows a model folder as its `onnx` flavour. */
export const MLMODEL_FILES = ['MLmodel', 'conda.yaml', 'python_env.yaml', 'requirements.txt'] as const

/**
 * Writes the files with which `mlflow.pyfunc.load_model` and `mlflow models serve` load a model folder of one network: the
 * flavours `onnx` and `python_function`, and a signature of the network's tensors (they take tensors, not pulses).
 * Returns a new temporary folder, which the caller removes.
 */
export async function writeMlmodel(folder: string, manifest: ModelManifest): Promise<string> {
  const outputs = await declaredOutputs(join(folder, 'model.onnx'))
  const typeOf = (name: string) => outputs?.find((output) => output.name === name)?.type ?? 'float32'
  const signature = {
    inputs: JSON.stringify(manifest.inputs.map((spec) => tensor(spec.name, spec.dtype, shapeOf(spec)))),
    outputs: JSON.stringify(
      outputNames(manifest.output).map((name) => tensor(name, typeOf(name), outputShape(manifest, name))),
    ),
    params: null,
  }
  const content = {
    artifact_path: 'model',
    flavors: {
      onnx: {
        code: null,
        data: 'model.onnx',
        providers: ['CUDAExecutionProvider', 'CPUExecutionProvider'],
        save_as_external_data: true,
      },
      python_function: {
        data: 'model.onnx',
        env: { conda: 'conda.yaml', virtualenv: 'python_env.yaml' },
        loader_module: 'mlflow.onnx',
        python_version: PYTHON,
      },
    },
    model_uuid: randomUUID().replaceAll('-', ''),
    signature,
    utc_time_created: new Date().toISOString().replace('T', ' ').replace('Z', ''),
  }
  const dependencies = [`python=${PYTHON}`, 'pip', { pip: REQUIREMENTS }]
  const files: Readonly<Record<(typeof MLMODEL_FILES)[number], string>> = {
    // YAML takes JSON as it is.
    MLmodel: json(content),
    'conda.yaml': json({ name: 'mlflow-env', channels: ['conda-forge'], dependencies }),
    'python_env.yaml': json({ python: PYTHON, dependencies: ['-r requirements.txt'] }),
    'requirements.txt': `${REQUIREMENTS.join('\n')}\n`,
  }
  const into = await mkdtemp(join(tmpdir(), 'nustream-mlmodel-'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(into, name), text)
  return into
}

/** An entry of a signature. Dimensions that a run decides are -1. */
function tensor(name: string, dtype: string, shape: readonly (number | string)[]) {
  const sizes = shape.map((size) => (typeof size === 'number' ? size : -1))
  return { type: 'tensor', name, 'tensor-spec': { dtype, shape: sizes } }
}

function outputShape({ output }: ModelManifest, name: string): (number | string)[] {
  if (output.meaning === 'azimuth-zenith')
    return output.tensors.length === 1 && output.tensors[0] === name ? ['E', 2] : ['E']
  return output.tensor === name ? ['E', 3] : ['E']
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
