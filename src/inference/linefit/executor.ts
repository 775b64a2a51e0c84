import { fromSourceVector } from '../../event/direction.ts'
import { eventCount } from '../../event/event-batch.ts'
import { allocateDirections } from '../directions.ts'
import type { Executor } from '../network/executor.ts'
import { buildLineFit } from './linefit.ts'

export function buildLineFitExecutor(): Executor {
  const fitLine = buildLineFit()
  return {
    graph: undefined,
    async answer(batch) {
      const answers = allocateDirections(eventCount(batch))
      for (let event = 0; event < eventCount(batch); event++) {
        const { x, y, z, isDegenerate } = fitLine(batch, event)
        const direction = fromSourceVector(x, y, z)
        answers.azimuth[event] = direction.azimuth
        answers.zenith[event] = direction.zenith
        answers.degenerate[event] = isDegenerate ? 1 : 0
      }
      return answers
    },
    async runTensors() {
      throw new Error('the built-in line fit is not a network: it takes events, not tensors')
    },
    async release() {},
  }
}
