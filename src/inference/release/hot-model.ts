import type { DriftReference } from '../../drift/reference.ts'
import type { EventBatch } from '../../event/event-batch.ts'
import type { Inference, InferOptions, Inferrer, ModelIdentity } from '../inferrer.ts'

interface Held {
  readonly inferrer: Inferrer
  atWork: number
  onIdle: () => void
}

/** An inferrer whose model is replaced while it works: every batch is answered by the model that it began with. */
export class HotModel implements Inferrer {
  readonly concurrency: number
  #held: Held

  /** Models stay the caller's: they are disposed of once `swap` has resolved, not by it. */
  constructor(first: Inferrer) {
    this.concurrency = first.concurrency
    this.#held = hold(first)
  }

  get model(): ModelIdentity {
    return this.#held.inferrer.model
  }

  get reference(): DriftReference | undefined {
    return this.#held.inferrer.reference
  }

  /** From now on `next` answers. Resolves when the one before has nothing under way. */
  async swap(next: Inferrer): Promise<void> {
    const before = this.#held
    this.#held = hold(next)
    if (before.atWork === 0) return
    await new Promise<void>((resolve) => {
      before.onIdle = resolve
    })
  }

  async infer(batch: EventBatch, options?: InferOptions): Promise<Inference> {
    const held = this.#held
    held.atWork++
    try {
      return await held.inferrer.infer(batch, options)
    } finally {
      held.atWork--
      if (held.atWork === 0) held.onIdle()
    }
  }

  ready(): Promise<void> {
    return this.#held.inferrer.ready()
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function hold(inferrer: Inferrer): Held {
  return { inferrer, atWork: 0, onIdle: () => {} }
}
