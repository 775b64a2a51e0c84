import type { EventBatch } from '../../src/event/event-batch.ts'
import type { Inference } from '../../src/inference/inferrer.ts'
import type { LocalModel } from '../../src/inference/network/local.ts'
import { fakeLocalModel } from './fake-local-model.ts'

/** A model as a class: its methods are on the prototype and need the private fields of the instance. */
export class PrivateModel implements LocalModel {
  readonly #inner = fakeLocalModel()
  readonly #identity = { name: 'private', version: '1' }
  readonly calls: string[] = []
  readonly concurrency = 1
  readonly manifest = undefined
  readonly graph = undefined
  readonly parity = undefined

  get model() {
    return this.#identity
  }

  async infer(batch: EventBatch): Promise<Inference> {
    this.calls.push('infer')
    return { ...(await this.#inner.infer(batch)), model: this.#identity }
  }

  async ready(): Promise<void> {
    this.calls.push('ready')
    await this.#inner.ready()
  }

  async runTensors() {
    this.calls.push('runTensors')
    await this.#inner.ready()
    return {}
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.calls.push('dispose')
    await this.#inner[Symbol.asyncDispose]()
  }
}
