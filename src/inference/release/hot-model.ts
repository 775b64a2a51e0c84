import type { DriftReference } from '../../drift/reference.ts'
import type { EventBatch } from '../../event/event-batch.ts'
import type { Inference, InferOptions, Inferrer, ModelIdentity } from '../inferrer.ts'

interface Held<Model> {
  readonly inferrer: Model
  atWork: number
  onIdle: () => void
}

/** An inferrer whose model is replaced while it works. The model that a call begins with also ends it. */
export class HotModel<Model extends Inferrer = Inferrer> implements Inferrer {
  readonly concurrency: number
  #held: Held<Model>

  /** The caller disposes of a model, once the `swap` that replaced it has resolved. */
  constructor(first: Model) {
    this.concurrency = first.concurrency
    this.#held = hold(first)
  }

  /** The model that answers calls from now on. */
  get current(): Model {
    return this.#held.inferrer
  }

  get model(): ModelIdentity {
    return this.#held.inferrer.model
  }

  get reference(): DriftReference | undefined {
    return this.#held.inferrer.reference
  }

  /** `next` answers from now on. Resolves when the previous model has finished all its work. */
  async swap(next: Model): Promise<void> {
    const before = this.#held
    this.#held = hold(next)
    if (before.atWork === 0) return
    await new Promise<void>((resolve) => {
      before.onIdle = resolve
    })
  }

  infer(batch: EventBatch, options?: InferOptions): Promise<Inference> {
    return this.run((model) => model.infer(batch, options))
  }

  /** Does work with the current model; `swap` waits until it has ended. */
  async run<Result>(work: (model: Model) => Promise<Result>): Promise<Result> {
    const held = this.#held
    held.atWork++
    try {
      return await work(held.inferrer)
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

function hold<Model>(inferrer: Model): Held<Model> {
  return { inferrer, atWork: 0, onIdle: () => {} }
}
