import { type EventBatch, eventCount, sliceEvents } from '../../event/event-batch.ts'
import { allocateDirections, scatterDirections, setFault } from '../directions.ts'
import type { Inference, ModelIdentity } from '../inferrer.ts'

/** The model failed on a batch as a whole, and the batch may be why. */
export interface Blame {
  readonly reason: 'model_failed' | 'model_timeout' | 'model_worker_died'
  readonly error: Error
}

export interface CulpritOptions {
  /** What the caller has seen happen to the batch as a whole. */
  readonly blame: Blame
  /** Asks the model for a part of the batch, and again up to `triesMax` times in all. */
  readonly attempt: (part: EventBatch, triesMax: number) => Promise<Inference | Blame>
  /** Tries for an event alone. */
  readonly triesMax: number
  /** False where the model turned out to be away, after it has come back. */
  readonly wasReady: () => Promise<boolean>
  /** Named as the maker of the answer where every event failed. */
  readonly model: ModelIdentity
}

export function isAnswer(result: Inference | Blame): result is Inference {
  return 'model' in result
}

/**
 * Directions of a batch on which the model failed as a whole: it is halved until each part has its answer or is one
 * event, which is at fault only if it fails alone while the model is ready.
 */
export async function searchCulprit(batch: EventBatch, options: CulpritOptions): Promise<Inference> {
  const { blame, attempt, triesMax, wasReady } = options
  const directions = allocateDirections(eventCount(batch))
  let { model } = options

  const searchPart = async (from: number, to: number): Promise<void> => {
    const part = sliceEvents(batch, from, to)
    const result = await attempt(part, to - from === 1 ? triesMax : 1)
    if (!isAnswer(result)) return await judge(from, to, result)
    scatterDirections(directions, result, from)
    model = result.model
  }
  const judge = async (from: number, to: number, seen: Blame): Promise<void> => {
    if (to - from > 1) {
      const middle = (from + to) >>> 1
      await searchPart(from, middle)
      await searchPart(middle, to)
    } else if (await wasReady()) {
      setFault(directions, from, 'model_failed', toMessage(seen))
    } else {
      await searchPart(from, to)
    }
  }
  await judge(0, eventCount(batch), blame)
  return { model, ...directions }
}

function toMessage({ reason, error }: Blame): string {
  const what = {
    model_failed: 'the model fails on this event alone',
    model_timeout: 'the model does not answer for this event alone',
    model_worker_died: 'this event alone ends the process that runs the model',
  }[reason]
  return `${what}: ${error.message}`
}
