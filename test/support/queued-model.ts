import { unpackEvents } from '../../src/inference/network/packed-events.ts'
import { type QueueLimits, RequestQueue } from '../../src/inference/network/queue.ts'
import type { ServedModel } from '../../src/server/serving.ts'
import { fakeModel, inferenceOf } from './fake-model.ts'
import { fakeWorkers } from './fake-workers.ts'

export interface QueuedModelOptions extends QueueLimits {
  /** Concurrent jobs; default 1. */
  readonly workers?: number
  readonly eventsPerRun?: number
  /** Runs before each job is answered, with the first time of each of its events: throw, or wait. */
  readonly before?: (times: readonly number[]) => void | Promise<void>
}

/** The model of `fakeModel` behind the queue of real models. */
export function queuedModel({
  workers = 1,
  eventsPerRun = 64,
  before,
  ...limits
}: QueuedModelOptions): ServedModel {
  const model = fakeModel()
  const fake = fakeWorkers({
    free: workers,
    onChange: () => queue.pump(),
    infer: inferenceOf,
    async before(job) {
      if (job.kind !== 'events') return
      const { offsets, times } = unpackEvents(job.events)
      await before?.(Array.from(offsets.subarray(0, -1), (row) => times[row]))
    },
  })
  const queue: RequestQueue = new RequestQueue(fake, {
    threads: workers,
    tokensPerRun: 4096,
    eventsPerRun,
    equalLengths: false,
    tokensOf: (pulses) => pulses,
    ...limits,
  })
  return {
    ...model,
    async infer(batch, { signal } = {}) {
      return { model: model.model, ...(await queue.infer(batch, { signal })) }
    },
  }
}
