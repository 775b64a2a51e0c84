import type { EventBatch } from '../event/event-batch.ts'
import type { Inference } from '../inference/inferrer.ts'
import type { NamedTensors } from '../inference/tensors/tensor.ts'
import { Coalescer } from './coalesce.ts'
import { eventWork } from './event-work.ts'
import type { PredictParts } from './infer-events.ts'
import type { ServerLimits } from './limits.ts'
import type { ServerMetrics } from './metrics.ts'
import type { TensorDoor } from './open-inference.ts'
import { networkDoor, networkOf, pulseDoor, type ServedModel } from './tensor-door.ts'
import { type TensorAsk, tensorWork } from './tensor-work.ts'

/** A model with queues of its own: what was asked of it is answered by it, also after another has taken its place. */
export interface Deployment {
  readonly model: ServedModel
  readonly parts: PredictParts
  readonly door: TensorDoor
  readonly queuedEvents: number
  /** Takes no more, and resolves when everything that it holds is answered. */
  close(): Promise<void>
}

export function deploy(model: ServedModel, limits: ServerLimits, metrics: ServerMetrics): Deployment {
  const events: Coalescer<EventBatch, Inference> = new Coalescer(
    eventWork(model),
    // The model merges on its own what it holds, so many small batches are as good as few large ones.
    {
      ...limits,
      batchesAtWorkMax: Number.POSITIVE_INFINITY,
      eventsAtWorkMax: model.concurrency * limits.batchEventsMax,
      eventsAtWorkMin: model.concurrency,
    },
    metrics.watch('events'),
  )
  const network = networkOf(model)
  const tensors: Coalescer<TensorAsk, NamedTensors> | undefined =
    network &&
    new Coalescer(
      tensorWork(network),
      {
        ...limits,
        batchesAtWorkMax: model.concurrency,
        eventsAtWorkMax: Number.POSITIVE_INFINITY,
        eventsAtWorkMin: Number.POSITIVE_INFINITY,
      },
      metrics.watch('tensors'),
    )
  const { requestEventsMax } = limits
  const parts: PredictParts = { events, metrics, model: () => model.model, requestEventsMax }
  return {
    model,
    parts,
    door: network && tensors ? networkDoor(model, network, tensors, parts) : pulseDoor(model, parts),
    get queuedEvents() {
      return events.queuedEvents + (tensors?.queuedEvents ?? 0)
    },
    async close() {
      await Promise.all([events.close(), tensors?.close()])
    },
  }
}

/** Which deployment answers now. Requests read it once, in the turn in which they ask, so that none falls between two. */
export class Deployments {
  readonly #make: (model: ServedModel) => Deployment
  /** The one that answers, and those that still have something to answer. */
  readonly #open = new Set<Deployment>()
  #current: Deployment

  constructor(first: ServedModel, make: (model: ServedModel) => Deployment) {
    this.#make = make
    this.#current = make(first)
    this.#open.add(this.#current)
  }

  get current(): Deployment {
    return this.#current
  }

  get queuedEvents(): number {
    return [...this.#open].reduce((sum, { queuedEvents }) => sum + queuedEvents, 0)
  }

  /** From now on `next` answers; resolves when the one before has answered all that it was asked. */
  async swap(next: ServedModel): Promise<void> {
    const before = this.#current
    this.#current = this.#make(next)
    this.#open.add(this.#current)
    await before.close()
    this.#open.delete(before)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((deployment) => deployment.close()))
  }
}
