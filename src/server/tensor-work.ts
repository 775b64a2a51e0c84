import type { LocalModel } from '../inference/local.ts'
import type { ModelManifest } from '../inference/manifest.ts'
import type { GraphInfo, NamedTensors } from '../inference/tensor.ts'
import type { Work } from './coalesce.ts'
import { joinRows, sharesRows, sliceRows } from './tensor-rows.ts'

/** Tensors of one request and the outputs that it wants. */
export interface TensorAsk {
  readonly inputs: NamedTensors
  readonly outputs: readonly string[]
}

/** A model with its network, as far as tensors go. */
export interface Network {
  readonly graph: GraphInfo
  readonly manifest: ModelManifest
  readonly runTensors: LocalModel['runTensors']
}

/**
 * Requests with tensors: those of equal shape and outputs are run together along the first axis where that is the axis
 * of events, and taken apart again. The same limit on a run's padded pulses holds as for raw events.
 */
export function tensorWork(network: Network): Work<TensorAsk, NamedTensors> {
  const names = network.graph.inputs.map(({ name }) => name)
  const canMerge = hasEventAxis(network)
  return {
    size: ({ inputs }) => (canMerge ? inputs[names[0]].shape[0] : 1),
    joins: (first, next) =>
      canMerge &&
      first.outputs.join() === next.outputs.join() &&
      names.every((name) => sharesRows(first.inputs[name], next.inputs[name])),
    async run(asks, signal) {
      const [{ outputs }] = asks
      const inputs = joinRows(asks.map((ask) => ask.inputs))
      if (!canMerge) return [await network.runTensors(inputs, { outputs, signal })]
      const rows = inputs[names[0]].shape[0]
      const results = await runInParts(network, { inputs, outputs }, { rows, signal })
      let from = 0
      return asks.map((ask) => {
        const to = from + ask.inputs[names[0]].shape[0]
        const part = asks.length === 1 ? results : sliceRows(results, from, to)
        from = to
        return part
      })
    },
  }
}

/** Only of padded inputs is it known that the first axis counts events; it must be free in every input and output. */
function hasEventAxis({ manifest, graph }: Network): boolean {
  const isPerEvent = manifest.inputs.every(
    ({ layout }) =>
      layout.startsWith('padded') || layout.startsWith('event') || layout === 'mask' || layout === 'lengths',
  )
  const isPadded = manifest.inputs.some(({ layout }) => layout.startsWith('padded'))
  const isFree = [...graph.inputs, ...graph.outputs].every(({ shape }) => typeof shape[0] === 'string')
  return isPerEvent && isPadded && isFree && !manifest.inputs.some(({ layout }) => layout === 'event-index')
}

async function runInParts(
  { manifest, runTensors }: Network,
  { inputs, outputs }: TensorAsk,
  { rows, signal }: { rows: number; signal: AbortSignal },
): Promise<NamedTensors> {
  const padded = manifest.inputs.find(({ layout }) => layout.startsWith('padded'))
  const length = padded ? Math.max(1, inputs[padded.name].shape[1]) : 1
  const { tokensPerRun, eventsPerRun } = manifest.limits
  const rowsPerRun = Math.max(1, Math.min(eventsPerRun, Math.floor(tokensPerRun / length)))
  if (rows <= rowsPerRun) return await runTensors(inputs, { outputs, signal })
  const runs: Promise<NamedTensors>[] = []
  for (let from = 0; from < rows; from += rowsPerRun) {
    const part = sliceRows(inputs, from, Math.min(rows, from + rowsPerRun))
    runs.push(runTensors(part, { outputs, signal }))
  }
  return joinRows(await Promise.all(runs))
}
