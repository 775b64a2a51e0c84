import { EventError } from '../errors.ts'
import type { ModelManifest } from '../inference/model/manifest.ts'
import type { LocalModel } from '../inference/network/local.ts'
import type { GraphInfo, NamedTensors } from '../inference/tensors/tensor.ts'
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
      if (!canMerge) return [await network.runTensors(asks[0].inputs, { outputs: asks[0].outputs, signal })]
      try {
        return await runTogether(network, asks, signal)
      } catch (error) {
        // Somebody's values are more than the network can take: each for himself, so that only he hears of it.
        if (!(error instanceof EventError) || asks.length === 1) throw error
        const alone = await Promise.allSettled(asks.map((ask) => runTogether(network, [ask], signal)))
        return alone.map((each) => (each.status === 'fulfilled' ? each.value[0] : toError(each.reason)))
      }
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

async function runTogether(
  network: Network,
  asks: readonly TensorAsk[],
  signal: AbortSignal,
): Promise<NamedTensors[]> {
  const [{ name }] = network.graph.inputs
  const rowsOf = ({ inputs }: TensorAsk) => inputs[name].shape[0]
  const inputs = joinRows(asks.map((ask) => ask.inputs))
  const rows = asks.reduce((sum, ask) => sum + rowsOf(ask), 0)
  const results = await runInParts(network, { inputs, outputs: asks[0].outputs }, { rows, signal })
  if (asks.length === 1) return [results]
  let from = 0
  return asks.map((ask) => {
    const to = from + rowsOf(ask)
    const part = sliceRows(results, from, to)
    from = to
    return part
  })
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

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
