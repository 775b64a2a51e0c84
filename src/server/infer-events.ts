import type { FastifyReply } from 'fastify'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import type { Inference, ModelIdentity } from '../inference/inferrer.ts'
import type { Coalescer } from './coalesce.ts'
import { answerOf } from './guard.ts'
import type { ServerMetrics } from './metrics.ts'

export interface PredictParts {
  readonly events: Coalescer<EventBatch, Inference>
  readonly metrics: ServerMetrics
  readonly model: () => ModelIdentity
  readonly requestEventsMax: number
}

/** Directions of the events of one request; undefined where there is none to ask for. */
export async function inferEvents(
  batch: EventBatch,
  { events, metrics }: PredictParts,
  reply: FastifyReply,
): Promise<Inference | undefined> {
  const count = eventCount(batch)
  if (count === 0) return undefined
  const inference = await answerOf(events.submit(batch), reply, metrics)
  metrics.events('failed', inference.faults.length)
  metrics.events('predicted', count - inference.faults.length)
  return inference
}
