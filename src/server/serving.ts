import type { FastifyReply } from 'fastify'
import { within } from '../async/deadline.ts'
import { type EventBatch, eventCount } from '../event/event-batch.ts'
import { allocateDirections } from '../inference/directions.ts'
import type { Inference, Inferrer } from '../inference/inferrer.ts'
import type { LocalModel } from '../inference/network/local.ts'
import type { HotModel } from '../inference/release/hot-model.ts'
import { RequestError } from './errors.ts'
import type { Guards } from './guard.ts'
import type { ServerMetrics } from './metrics.ts'

/** A model to serve: one with a network (`graph`, `manifest`, `runTensors`) also takes its tensors. */
export type ServedModel = Inferrer & Partial<Pick<LocalModel, 'graph' | 'manifest' | 'runTensors'>>

/** What the routes that run the model share. */
export interface Serving extends Guards {
  readonly models: HotModel<ServedModel>
  readonly metrics: ServerMetrics
}

const READY_WITHIN_MS = 2_000

/** Undefined when the model can answer now, otherwise why not. */
export async function notReady(model: Inferrer): Promise<string | undefined> {
  try {
    await within(() => model.ready(), READY_WITHIN_MS)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/**
 * Directions of the events of one request.
 * @throws UnavailableError, OutOfTime as the model's queue does; RequestError `closing` when the caller goes away
 */
export async function inferEvents(
  batch: EventBatch,
  model: Inferrer,
  { metrics }: Serving,
  reply: FastifyReply,
): Promise<Inference> {
  const count = eventCount(batch)
  if (count === 0) return { model: model.model, ...allocateDirections(0) }
  const inference = await model.infer(batch, { signal: callerSignal(reply, metrics) })
  metrics.events('failed', inference.faults.length)
  metrics.events('predicted', count - inference.faults.length)
  return inference
}

/** Aborts when the caller goes away before its answer. */
export function callerSignal(reply: FastifyReply, metrics: ServerMetrics): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (reply.raw.writableFinished) return
    gone.abort(new RequestError('closing', 'the caller is gone'))
    metrics.cancelled()
  })
  return gone.signal
}
