import { fromSourceVector } from '../../event/direction.ts'
import { type EventBatch, eventCount } from '../../event/event-batch.ts'
import { allocateDirections, type Directions, setFault } from '../directions.ts'
import type { Member } from '../model/folder.ts'
import { openOnnxExecutor } from './onnx-executor.ts'
import type { Executor } from './worker-messages.ts'

export interface EnsembleParts {
  readonly members: readonly Member[]
  readonly clip: number | undefined
}

/**
 * Several networks that answer as one: their raw vectors, turned to the source, are summed with the members' weights, so
 * that who is surer counts for more. An event that one of them cannot do is a fault. Members run one after the other.
 * @throws Error of ONNX Runtime when a member's network cannot be loaded
 */
export async function openEnsembleExecutor({ members, clip }: EnsembleParts): Promise<Executor> {
  const executors: Executor[] = []
  try {
    for (const { folder, manifest } of members)
      executors.push(await openOnnxExecutor(folder, manifest, { keepsVectors: true }))
  } catch (error) {
    for (const executor of executors) await executor.release()
    throw error
  }
  return {
    graph: undefined,
    async answer(batch, runSizes) {
      const sum = createSum(batch, members)
      for (const [i, executor] of executors.entries())
        sum.add(await executor.answer(batch, runSizes), members[i], clip ?? Number.POSITIVE_INFINITY)
      return sum.toDirections()
    },
    async runTensors() {
      throw new Error('an ensemble is several networks: it takes events, not tensors')
    },
    async release() {
      for (const executor of executors) await executor.release()
    },
  }
}

function createSum(batch: EventBatch, members: readonly Member[]) {
  const events = eventCount(batch)
  const answers = allocateDirections(events)
  const sums = new Float64Array(3 * events)
  const faulty = new Set<number>()
  const totalWeight = members.reduce((total, { weight }) => total + weight, 0)
  const givesKappa = members.every(({ manifest }) => manifest.output.meaning === 'vector-kappa')
  return {
    add({ faults, vectors, degenerate }: Directions, { weight, manifest }: Member, clip: number): void {
      for (const { index, code, message } of faults) {
        // The first member that fails says why.
        if (!faulty.has(index)) setFault(answers, index, code, `member ${manifest.name}: ${message}`)
        faulty.add(index)
      }
      for (let i = 0; i < sums.length; i++) {
        const component = vectors?.[i] ?? Number.NaN
        sums[i] += weight * Math.max(-clip, Math.min(clip, component))
      }
      for (let event = 0; event < events; event++) answers.degenerate[event] |= degenerate[event]
    },
    toDirections(): Directions {
      for (let event = 0; event < events; event++) {
        if (faulty.has(event)) {
          answers.degenerate[event] = 0
          continue
        }
        const [x, y, z] = sums.subarray(3 * event, 3 * event + 3)
        const length = Math.hypot(x, y, z)
        if (!(length > 0 && length < Number.POSITIVE_INFINITY)) {
          setFault(answers, event, 'model_output_invalid', `the members' vectors sum to (${x}, ${y}, ${z})`)
          continue
        }
        const { azimuth, zenith } = fromSourceVector(x, y, z)
        answers.azimuth[event] = azimuth
        answers.zenith[event] = zenith
        if (givesKappa) answers.kappa[event] = length / totalWeight
      }
      return answers
    },
  }
}
