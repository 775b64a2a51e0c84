import { untilAborted } from '../../src/async/deadline.ts'
import { EventError, UnavailableError } from '../../src/errors.ts'
import { type EventBatch, eventCount } from '../../src/event/event-batch.ts'
import type { Inference, InferOptions, Inferrer } from '../../src/inference/inferrer.ts'

/**
 * A model for tests: azimuth and zenith follow from the event id alone, so that an answer that went to another event
 * is seen. Counts what it was asked.
 */
export class TestInferrer implements Inferrer {
  readonly model = { name: 'test', version: '1' }
  readonly concurrency: number
  readonly asked: number[] = []
  underWay = 0
  underWayMax = 0

  constructor(concurrency = 2) {
    this.concurrency = concurrency
  }

  async infer(batch: EventBatch): Promise<Inference> {
    this.asked.push(eventCount(batch))
    this.underWay++
    this.underWayMax = Math.max(this.underWayMax, this.underWay)
    await new Promise((resolve) => setTimeout(resolve, 0))
    this.underWay--
    const numbers = Array.from(batch.eventIds, Number)
    return {
      model: this.model,
      azimuth: Float64Array.from(numbers, azimuthOf),
      zenith: Float64Array.from(numbers, zenithOf),
      kappa: new Float64Array(numbers.length).fill(10),
      degenerate: new Uint8Array(numbers.length),
      faults: [],
    }
  }

  async ready(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

export const azimuthOf = (id: number): number => (id % 628) / 100
export const zenithOf = (id: number): number => (id % 314) / 100

/**
 * What goes wrong: `away` the model cannot be reached; `fails` and `dies` it breaks on the batch as a whole;
 * `hangs` it never answers; `nan` it answers that for one event; `breaks` it throws what nobody foresaw.
 */
export type Fault = 'away' | 'fails' | 'dies' | 'hangs' | 'nan' | 'breaks'

/** Decides before each call; events are those of the batch asked for. */
export type FaultPlan = (batch: EventBatch, call: number) => Fault | undefined

/** Breaks on every batch that holds the event. */
export function onEvent(id: number, fault: Fault): FaultPlan {
  return (batch) => (batch.eventIds.includes(BigInt(id)) ? fault : undefined)
}

/** Breaks with set odds, the same for the same seed. */
export function withOdds(odds: Partial<Record<Fault, number>>, seed: number): FaultPlan {
  const random = createRandom(seed)
  return () => {
    let draw = random()
    for (const [fault, chance] of Object.entries(odds)) {
      // Keys of the record are faults.
      if (draw < chance) return fault as Fault
      draw -= chance
    }
    return undefined
  }
}

/** Wraps an inferrer and breaks by plan (a model of a bad model). */
export class FaultyInferrer implements Inferrer {
  readonly #inner: Inferrer
  readonly #plan: FaultPlan
  calls = 0

  constructor(inner: Inferrer, plan: FaultPlan) {
    this.#inner = inner
    this.#plan = plan
  }

  get model() {
    return this.#inner.model
  }

  get concurrency() {
    return this.#inner.concurrency
  }

  async infer(batch: EventBatch, { signal }: InferOptions = {}): Promise<Inference> {
    const fault = this.#plan(batch, this.calls++)
    switch (fault) {
      case 'away':
        throw new UnavailableError('model_unreachable', 'connection refused')
      case 'fails':
        throw new EventError('model_failed', 'non-zero status code while running Add node')
      case 'dies':
        throw new UnavailableError('model_worker_died', 'the worker ended with code 139')
      case 'hangs':
        return untilAborted(new Promise(() => {}), signal ?? new AbortController().signal)
      case 'breaks':
        throw new TypeError('x is not a function')
      case 'nan':
      case undefined:
    }
    const answer = await this.#inner.infer(batch, { signal })
    if (fault === 'nan') answer.azimuth[0] = Number.NaN
    return answer
  }

  ready(): Promise<void> {
    return this.#inner.ready()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]()
  }
}

/** mulberry32: numbers from 0 to 1 that depend on the seed alone. */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
