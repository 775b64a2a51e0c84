import { UsageError } from '../../errors.ts'
import { outputNames } from '../tensors/read-output.ts'
import type { GraphInfo, TensorInfo } from '../tensors/tensor.ts'
import { shapeOf } from './input-shape.ts'
import type { InputSpec, ModelManifest } from './manifest.ts'

/**
 * That a manifest speaks of the network that lies beside it: names, element types, ranks and fixed dimensions.
 * @throws UsageError `model_manifest_invalid` naming each field that does not fit
 */
export function checkGraph(manifest: ModelManifest, graph: GraphInfo, path: string): void {
  const complaints = [...inputComplaints(manifest, graph), ...outputComplaints(manifest, graph)]
  if (complaints.length === 0) return
  const lines = complaints.map((complaint) => `  ${complaint}`).join('\n')
  throw new UsageError('model_manifest_invalid', `${path} does not fit model.onnx beside it:\n${lines}`)
}

function inputComplaints(manifest: ModelManifest, graph: GraphInfo): string[] {
  const complaints: string[] = []
  const names = graph.inputs.map(({ name }) => name)
  for (const [index, spec] of manifest.inputs.entries()) {
    const info = graph.inputs.find(({ name }) => name === spec.name)
    if (info) complaints.push(...fitComplaints(`inputs[${index}]`, { spec, info, manifest }))
    else complaints.push(`inputs[${index}].name is "${spec.name}": the network's inputs are ${quoted(names)}`)
  }
  const given = new Set(manifest.inputs.map(({ name }) => name))
  for (const name of names) {
    if (!given.has(name)) complaints.push(`inputs has no entry for the network's input "${name}": add one`)
  }
  return complaints
}

interface Fit {
  readonly spec: InputSpec
  readonly info: TensorInfo
  readonly manifest: ModelManifest
}

function fitComplaints(field: string, { spec, info, manifest }: Fit): string[] {
  const complaints: string[] = []
  if (spec.dtype !== info.dtype) {
    complaints.push(
      `${field}.dtype is "${spec.dtype}": the network's input "${spec.name}" takes ${info.dtype}`,
    )
  }
  const shape = shapeOf(spec)
  if (info.shape.length !== shape.length) {
    const found = `layout "${spec.layout}" makes ${shape.length} dimensions [${shape}]`
    complaints.push(`${field}: ${found}, the network's input "${spec.name}" has [${info.shape}]`)
    return complaints
  }
  const width = shape.at(-1)
  const fixedWidth = info.shape.at(-1)
  if (typeof width === 'number' && typeof fixedWidth === 'number' && width !== fixedWidth) {
    complaints.push(
      `${field}.features has ${width} entries: the network's input "${spec.name}" takes ${fixedWidth}`,
    )
  }
  const fixed = 'fixed' in manifest.paddedLength ? manifest.paddedLength.fixed : undefined
  for (const [axis, size] of info.shape.entries()) {
    if (typeof size !== 'number') continue
    if (shape[axis] === 'E' && !(size === 1 && manifest.limits.eventsPerRun === 1)) {
      const remedy = size === 1 ? 'set limits.eventsPerRun to 1' : 'export it with a dynamic first dimension'
      complaints.push(`${field}: the network takes exactly ${size} events a run: ${remedy}`)
    }
    if (shape[axis] === 'L' && size !== fixed) {
      complaints.push(
        `${field}: the network takes exactly ${size} pulses an event: set paddedLength to {"fixed": ${size}}`,
      )
    }
    if (shape[axis] === 'T')
      complaints.push(`${field}: the network takes exactly ${size} pulses in all: export it dynamic`)
  }
  return complaints
}

function outputComplaints({ output }: ModelManifest, graph: GraphInfo): string[] {
  const complaints: string[] = []
  const names = graph.outputs.map(({ name }) => name)
  for (const wanted of outputNames(output)) {
    const info = graph.outputs.find(({ name }) => name === wanted)
    if (info === undefined) {
      complaints.push(`output reads "${wanted}": the network's outputs are ${quoted(names)}`)
      continue
    }
    const isFlag = wanted === output.degenerate?.tensor
    if (!isFlag && !info.dtype.startsWith('float')) {
      complaints.push(`output "${wanted}" is ${info.dtype}: directions must be float16, float32 or float64`)
    }
    const width = widthOf(output, wanted)
    const last = info.shape.at(-1)
    if (width > 1 && info.shape.length !== 2) {
      complaints.push(`output "${wanted}" has the shape [${info.shape}]: expected [events, ${width}]`)
    } else if (width > 1 && typeof last === 'number' && last !== width) {
      complaints.push(`output "${wanted}" has ${last} values an event: ${output.meaning} needs ${width}`)
    }
  }
  return complaints
}

function widthOf(output: ModelManifest['output'], name: string): number {
  if (output.meaning === 'azimuth-zenith') {
    return output.tensors.length === 1 && output.tensors[0] === name ? 2 : 1
  }
  return output.tensor === name ? 3 : 1
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ')
}
