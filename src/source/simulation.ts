import { Worker } from 'node:worker_threads'
import type { EventBatch } from '../event/event-batch.ts'
import type { SimulatorOptions } from '../simulator/simulate.ts'
import type { SimulationRequest } from './simulation-worker.ts'

export interface SimulationOptions extends SimulatorOptions {
  readonly seed: number
  /** Index of the first event. */
  readonly from?: number
  /** Index after the last; without it the simulation has no end. */
  readonly to?: number
  /** Events in each batch, but for the last. */
  readonly batchEvents: number
  /** Worker threads. The events and their order do not depend on it. */
  readonly workers?: number
  /** Ends the simulation, quietly. */
  readonly signal?: AbortSignal
}

/** Batches on order from each worker: one in the making, one to go on with while the first travels. */
const AHEAD = 2

/** Simulated events in order of index, made by worker threads a bounded number of batches ahead of the reader. */
export async function* simulateInWorkers(options: SimulationOptions): AsyncGenerator<EventBatch> {
  const {
    seed,
    kind,
    systematics,
    from = 0,
    to = Number.MAX_SAFE_INTEGER,
    batchEvents,
    workers = 1,
    signal,
  } = options
  if (from >= to || signal?.aborted) return
  const pool = Array.from({ length: workers }, () => new SimulationWorker({ seed, kind, systematics }))
  const stop = () => {
    for (const worker of pool) worker.stop()
  }
  signal?.addEventListener('abort', stop)
  try {
    const ordered: Promise<EventBatch | undefined>[] = []
    let next = from
    let turn = 0
    for (;;) {
      for (; next < to && ordered.length < workers * AHEAD; next += batchEvents) {
        ordered.push(pool[turn++ % workers].request({ from: next, count: Math.min(batchEvents, to - next) }))
      }
      const batch = await ordered.shift()
      if (!batch || signal?.aborted) return
      yield batch
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    await Promise.all(pool.map((worker) => worker.close()))
  }
}

interface Waiting {
  resolve(batch: EventBatch | undefined): void
  reject(error: unknown): void
}

/** One worker thread and the requests it has not answered yet, oldest first. */
class SimulationWorker {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []
  #stopped = false

  constructor(workerData: SimulatorOptions & { readonly seed: number }) {
    this.#worker = new Worker(workerUrl(), { workerData, name: 'nustream-simulator', execArgv: [] })
    this.#worker.on('message', (batch: EventBatch) => this.#waiting.shift()?.resolve(batch))
    this.#worker.on('error', (error) => this.#fail(error))
    this.#worker.on('exit', (code) => this.#fail(new Error(`the simulator's thread ended with code ${code}`)))
  }

  /** Resolves to nothing where the worker was stopped first. */
  request(request: SimulationRequest): Promise<EventBatch | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<EventBatch | undefined>()
    // A request behind the one that fails is never awaited; without a handler its rejection would end the process.
    promise.catch(() => {})
    this.#waiting.push({ resolve, reject })
    this.#worker.postMessage(request)
    return promise
  }

  stop(): void {
    this.#stopped = true
    for (const { resolve } of this.#waiting.splice(0)) resolve(undefined)
  }

  async close(): Promise<void> {
    this.stop()
    await this.#worker.terminate()
  }

  #fail(error: unknown): void {
    if (this.#stopped) return
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}

/** One worker file, as TypeScript in the source tree and as JavaScript in the package. */
function workerUrl(): URL {
  const file = import.meta.url.endsWith('.ts') ? './simulation-worker.ts' : './simulation-worker.js'
  return new URL(file, import.meta.url)
}
