import { OutOfTime, untilAborted, within } from '../../src/async/deadline.ts'
import { EventError, UnavailableError } from '../../src/errors.ts'
import { type EventBatch, eventCount, sliceEvents } from '../../src/event/event-batch.ts'
import { allocateDirections, scatterDirections, setFault } from '../../src/inference/directions.ts'
import type { Inference, InferOptions, Inferrer } from '../../src/inference/inferrer.ts'
import { isolate } from '../../src/inference/isolate.ts'

/**
 * A model for tests: azimuth and zenith follow from the event id, so that an answer for another event is detected. It
 * counts its calls.
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
 * The fault: `away`: the model is unreachable; `fails` and `dies`: the call fails for the whole batch; `hangs`: it never
 * answers; `nan`: it returns NaN for one event; `breaks`: it throws an unexpected error.
 */
export type Fault = 'away' | 'fails' | 'dies' | 'hangs' | 'nan' | 'breaks'

/** Decides before each call, given the events of the batch. */
export type FaultPlan = (batch: EventBatch, call: number) => Fault | undefined

/** Fails on every batch with the event. */
export function onEvent(id: number, fault: Fault): FaultPlan {
  return (batch) => (batch.eventIds.includes(BigInt(id)) ? fault : undefined)
}

/** Fails with given probabilities, the same for the same seed. */
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

export interface FaultyOptions {
  /** A call that hangs longer counts as a failure of its events. Default: it hangs until it is aborted. */
  readonly hangsMs?: number
  /** Calls for an event alone before it is a fault. */
  readonly tries?: number
}

/** An inferrer that fails by plan, and isolates the events at fault as real ones do. */
export class FaultyInferrer implements Inferrer {
  readonly #inner: Inferrer
  readonly #plan: FaultPlan
  readonly #options: FaultyOptions
  calls = 0

  constructor(inner: Inferrer, plan: FaultPlan, options: FaultyOptions = {}) {
    this.#inner = inner
    this.#plan = plan
    this.#options = options
  }

  get model() {
    return this.#inner.model
  }

  get concurrency() {
    return this.#inner.concurrency
  }

  async infer(batch: EventBatch, options: InferOptions = {}): Promise<Inference> {
    const { hangsMs = 3_600_000, tries = 3 } = this.#options
    const directions = allocateDirections(eventCount(batch))
    await isolate(eventCount(batch), {
      ...options,
      tries,
      backoff: { firstMs: 1, capMs: 5 },
      answer: async (from, to) => {
        const part = sliceEvents(batch, from, to)
        scatterDirections(directions, await within(() => this.#ask(part, options.signal), hangsMs), from)
      },
      failureOf: (error) => {
        if (error instanceof OutOfTime) return 'model_timeout'
        if (error instanceof EventError) return 'model_failed'
        const isDeath = error instanceof UnavailableError && error.code === 'model_worker_died'
        return isDeath ? 'model_worker_died' : undefined
      },
      setFault: (index, message) => setFault(directions, index, 'model_failed', message),
      ready: () => this.ready(),
    })
    return { model: this.model, ...directions }
  }

  async #ask(batch: EventBatch, signal: AbortSignal | undefined): Promise<Inference> {
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

/** mulberry32: numbers from 0 to 1 that depend only on the seed. */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
