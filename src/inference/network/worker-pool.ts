import type { Logger } from 'pino'
import { OutOfTime, within } from '../../async/deadline.ts'
import { type Backoff, createBackoff } from '../../async/retry.ts'
import { UnavailableError } from '../../errors.ts'
import type { GraphInfo } from '../tensors/tensor.ts'
import type { Job, JobAnswer } from './worker-messages.ts'
import { WorkerSlot, type WorkerSource } from './worker-slot.ts'

export interface WorkerPoolOptions extends WorkerSource {
  readonly threads: number
  readonly log?: Logger
  /** Called whenever a worker can take a job again, and when the last worker has ended. */
  readonly onChange: () => void
  readonly limits?: Partial<typeof LIMITS>
}

const LIMITS = {
  /** One job runs, one waits in the worker's mailbox, so that it never idles while this thread is busy. */
  jobsPerWorker: 2,
  /** Loading a large network from a cold disk. */
  startWithinMs: 300_000,
  /** The longest event on the largest network; beyond it the worker counts as stuck. */
  jobWithinMs: 300_000,
  closeWithinMs: 60_000,
  /** Pause before a worker is replaced. It grows with each death, and is the first again after `quietMs` without one. */
  restartAfterMs: 100,
  restartAfterMaxMs: 30_000,
  quietMs: 60_000,
}

/** Worker threads with the same model. A worker that ends is replaced, and its jobs are rejected. */
export class WorkerPool {
  /** Real inputs and outputs of the network, from the first worker that loaded it. */
  graph: GraphInfo | undefined
  readonly #options: WorkerPoolOptions
  readonly #limits: typeof LIMITS
  readonly #slots: WorkerSlot[] = []
  readonly #restarts = new Set<NodeJS.Timeout>()
  #isClosed = false
  readonly #backoff: Backoff
  #restartAfterMs: number
  #lastDeath: UnavailableError | undefined
  #lastDeathMs = Number.NEGATIVE_INFINITY

  constructor(options: WorkerPoolOptions) {
    this.#options = options
    this.#limits = { ...LIMITS, ...options.limits }
    this.#restartAfterMs = this.#limits.restartAfterMs
    const { restartAfterMs: firstMs, restartAfterMaxMs: capMs } = this.#limits
    this.#backoff = createBackoff({ firstMs, capMs })
  }

  /** Starts all workers and waits until each has loaded the model. @throws Error as the first that could not */
  async start(): Promise<void> {
    const slots = Array.from({ length: this.#options.threads }, () => this.#startSlot())
    const graphs = await Promise.all(slots.map((slot) => this.#startedInTime(slot)))
    this.graph = graphs[0]
  }

  /** Pause before the worker that ended last is replaced, ms. */
  get restartAfterMs(): number {
    return this.#restartAfterMs
  }

  /** Workers with a loaded model that answer. */
  get alive(): number {
    return this.#slots.filter((slot) => slot.isReady).length
  }

  /** Jobs that `run` would hand on at once. */
  get free(): number {
    let free = 0
    for (const slot of this.#slots) {
      if (slot.isReady) free += Math.max(0, this.#limits.jobsPerWorker - slot.load)
    }
    return free
  }

  /** Gives a job to the worker with the fewest. @throws UnavailableError `model_worker_died` */
  async run(job: Job): Promise<JobAnswer> {
    const ready = this.#slots.filter((slot) => slot.isReady)
    if (ready.length === 0) throw this.noWorker()
    const slot = ready.reduce((best, other) => (other.load < best.load ? other : best))
    try {
      return await slot.run(job, this.#limits.jobWithinMs)
    } finally {
      this.#options.onChange()
    }
  }

  /** Gives a job to every worker, to warm it. */
  async runOnEach(buildJob: () => Job): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.run(buildJob(), this.#limits.jobWithinMs)))
  }

  /** Why there is no worker to take a job. */
  noWorker(): UnavailableError {
    if (this.#isClosed) return new UnavailableError('model_worker_died', 'the model is closed')
    const cause = this.#slots.find(({ death }) => death)?.death ?? this.#lastDeath
    const text = `all worker threads of the model have ended and are being restarted; the last: ${cause?.message ?? 'no answer'}`
    const retryAfterSeconds = Math.ceil(this.#restartAfterMs / 1000)
    return new UnavailableError('model_worker_died', text, { cause, retryAfterSeconds })
  }

  /** Finishes the jobs given, gives the model back and ends the threads. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#restarts) clearTimeout(timer)
    await Promise.all(this.#slots.map((slot) => slot.close(this.#limits.closeWithinMs)))
  }

  #startSlot(): WorkerSlot {
    const slot = new WorkerSlot(this.#options)
    this.#slots.push(slot)
    void slot.ended.then(() => this.#replace(slot))
    return slot
  }

  async #startedInTime(slot: WorkerSlot): Promise<GraphInfo | undefined> {
    const { startWithinMs } = this.#limits
    try {
      return await within(() => slot.started, startWithinMs)
    } catch (cause) {
      if (!(cause instanceof OutOfTime)) throw cause
      throw new Error(`the model did not load within ${startWithinMs / 1000} s`, { cause })
    }
  }

  #replace(slot: WorkerSlot): void {
    this.#slots.splice(this.#slots.indexOf(slot), 1)
    if (this.#isClosed) return
    const now = performance.now()
    if (now - this.#lastDeathMs > this.#limits.quietMs) this.#backoff.reset()
    this.#restartAfterMs = this.#backoff.nextMs()
    this.#lastDeath = slot.death
    this.#lastDeathMs = now
    this.#options.log?.warn({ err: slot.death, restartAfterMs: this.#restartAfterMs }, 'model worker died')
    const timer = setTimeout(() => {
      this.#restarts.delete(timer)
      const next = this.#startSlot()
      next.started.then(
        () => this.#options.onChange(),
        (err) => this.#options.log?.error({ err }, 'model worker did not start'),
      )
    }, this.#restartAfterMs)
    this.#restarts.add(timer)
    this.#options.onChange()
  }
}
