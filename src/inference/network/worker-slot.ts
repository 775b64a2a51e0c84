import { Worker } from 'node:worker_threads'
import { within } from '../../async/deadline.ts'
import { UnavailableError } from '../../errors.ts'
import type { GraphInfo } from '../tensors/tensor.ts'
import type { FromWorker, Job, JobAnswer, ToWorker } from './worker-messages.ts'

// From 1.29 on ONNX Runtime tells its maker which networks it runs, and keeps a name of the machine in the home folder,
// unless the environment of the process forbids it. A worker has only a copy of that, so it is said here.
// biome-ignore lint/style/noProcessEnv: it is the library that reads it, not a setting of ours
process.env['ORT_DISABLE_TELEMETRY'] ??= '1'

export interface WorkerSource {
  readonly url: URL
  readonly workerData: unknown
}

/** A worker ended, or got stuck, while it held the events asked for. */
export class WorkerEnded extends UnavailableError {}

/** A worker threw while it worked on a job, and can work on. */
export class JobFailed extends Error {
  override get name(): string {
    return 'JobFailed'
  }
}

interface Pending {
  readonly resolve: (answer: JobAnswer) => void
  readonly reject: (error: Error) => void
  readonly deadline: NodeJS.Timeout
}

/** One worker thread from its start to its end. Every job that it was given is answered or rejected. */
export class WorkerSlot {
  /** Settles when the model is loaded; undefined for a model without a network. @throws Error when it cannot be */
  readonly started: Promise<GraphInfo | undefined>
  /** Settles when the thread is gone, for whatever reason. */
  readonly ended: Promise<void>
  isReady = false
  /** Why the thread ended; undefined while it lives. */
  death: WorkerEnded | undefined
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  #nextId = 0

  constructor({ url, workerData }: WorkerSource) {
    // Workers read no command line and print nothing of their own.
    this.#worker = new Worker(url, { workerData, name: 'nustream-model', execArgv: [] })
    const start = Promise.withResolvers<GraphInfo | undefined>()
    const end = Promise.withResolvers<void>()
    this.started = start.promise
    this.ended = end.promise
    // Whoever opened the slot awaits it; without this a slot that dies in close() would be an unhandled rejection.
    this.started.catch(() => {})
    this.#worker.on('message', (message: FromWorker) => {
      if (message.kind === 'ready') {
        this.isReady = true
        start.resolve(message.graph)
      } else if (message.kind === 'unreadable') {
        start.reject(new Error(message.message))
      } else {
        this.#settle(message)
      }
    })
    let cause: unknown
    this.#worker.on('error', (error) => {
      cause = error
    })
    this.#worker.on('exit', (exitCode) => {
      this.isReady = false
      const text = `the model's worker thread ended with code ${exitCode}${cause instanceof Error ? `: ${cause.message}` : ''}`
      const death = new WorkerEnded('model_worker_died', text, { cause })
      this.death = death
      start.reject(death)
      for (const { reject, deadline } of this.#pending.values()) {
        clearTimeout(deadline)
        reject(death)
      }
      this.#pending.clear()
      end.resolve()
    })
  }

  /** Jobs given and not yet answered. */
  get load(): number {
    return this.#pending.size
  }

  /** @throws UnavailableError `model_worker_died` when the thread ends first or does not answer in `withinMs` */
  run(job: Job, withinMs: number): Promise<JobAnswer> {
    if (this.death) return Promise.reject(this.death)
    const { promise, resolve, reject } = Promise.withResolvers<JobAnswer>()
    const id = this.#nextId++
    const deadline = setTimeout(() => {
      // A run cannot be broken off: the slot stays loaded, and gets no further jobs, until it answers after all.
      this.isReady = false
      reject(new WorkerEnded('model_worker_died', `the model did not answer within ${withinMs} ms`))
    }, withinMs)
    this.#pending.set(id, { resolve, reject, deadline })
    this.#send({ kind: 'job', id, job })
    return promise
  }

  /** Finishes the jobs given, then ends the thread; resolves at `withinMs` even if it has not. */
  async close(withinMs: number): Promise<void> {
    if (this.death) return
    this.isReady = false
    this.#send({ kind: 'close' })
    // A thread that is late ends by itself once its run does.
    await within(() => this.ended, withinMs).catch(() => {})
    // Never terminate(): during a run that aborts the whole process.
    this.#worker.unref()
  }

  #settle(message: Extract<FromWorker, { id: number }>): void {
    const pending = this.#pending.get(message.id)
    if (pending === undefined) return
    this.#pending.delete(message.id)
    clearTimeout(pending.deadline)
    this.isReady = true
    if (message.kind === 'answer') pending.resolve(message.answer)
    else pending.reject(new JobFailed(message.message))
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message)
  }
}
