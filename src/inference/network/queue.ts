import { OutOfTime } from '../../async/deadline.ts'
import { UnavailableError } from '../../errors.ts'
import { type EventBatch, eventCount } from '../../event/event-batch.ts'
import { allocateDirections, type Directions } from '../directions.ts'
import type { NamedTensors } from '../tensors/tensor.ts'
import { planEventJobs } from './event-jobs.ts'
import { Pace } from './pace.ts'
import { Blocks } from './packed-events.ts'
import type { RunOptions } from './plan-runs.ts'
import type { EventsRequest, PlannedJob, Request, TensorCall, TensorsRequest } from './request.ts'
import { canJoin, planTensorJobs } from './tensor-jobs.ts'
import type { WorkerPool } from './worker-pool.ts'

export interface QueueLimits {
  /** Events, and rows of tensors, that may wait for a worker; a request beyond is refused. Default 65,536. */
  readonly eventsMax?: number
  /** From the call to its answer, ms. Default: no limit. */
  readonly deadlineMs?: number
  readonly watch?: QueueWatch
}

/** What the queue tells whoever counts. Its functions must not throw. */
export interface QueueWatch {
  /** So many events more (or, below 0, fewer) wait. */
  waiting(change: number): void
  /** So many events go to the workers together, from requests that waited so long. */
  begun(kind: Request['kind'], events: number, waitsSeconds: readonly number[]): void
  /** The workers have finished what went to them together. */
  finished(kind: Request['kind'], seconds: number): void
}

export interface QueueOptions extends RunOptions, QueueLimits {}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** When the caller was asked, by `performance.now()`; the deadline counts from there. Default: now. */
  readonly askedMs?: number
  /** Shares no run with events of other calls. */
  readonly isAlone?: boolean
}

/** The part of a worker pool that the queue needs. */
export type Workers = Pick<WorkerPool, 'alive' | 'free' | 'run' | 'noWorker'>

/** Events sorted into runs together. More makes padding rarer and the first answer later. */
const WINDOW_EVENTS = 512
const EVENTS_MAX = 65_536
const RETRY_AFTER_MAX_SECONDS = 60

/** Requests that went to the workers together. */
interface Window {
  readonly kind: Request['kind']
  readonly startedMs: number
  readonly room: number
  jobsLeft: number
  /** Events answered. */
  events: number
}

interface Planned {
  readonly job: PlannedJob
  readonly window: Window
}

/**
 * The one place where requests wait for a model: first come, first served, with a bound, a deadline for each request, and
 * an end for those whose caller is gone. While workers are idle a request starts at once; while they are busy requests
 * gather, and the next free worker takes from all of them together.
 */
export class RequestQueue {
  readonly #options: QueueOptions
  readonly #workers: Workers
  readonly #pace: Pace
  readonly #blocks: Blocks
  #waiting: Request[] = []
  #waitingEvents = 0
  #planned: Planned[] = []
  /** Events planned, or with a worker. */
  #inHand = 0
  #isPumpDue = false

  constructor(workers: Workers, options: QueueOptions) {
    this.#workers = workers
    this.#options = options
    this.#pace = new Pace({
      deadlineMs: options.deadlineMs ?? Number.POSITIVE_INFINITY,
      roomMin: 2 * options.threads,
      roomMax: options.deadlineMs === undefined ? Number.POSITIVE_INFINITY : 2 * WINDOW_EVENTS,
    })
    this.#blocks = new Blocks(2 * options.threads)
  }

  /**
   * @throws UnavailableError when too much waits (with the seconds after which to come back), or a worker dies with some
   * of the events
   * @throws OutOfTime at the deadline; the signal's reason when it aborts; Error where a worker fails on the events
   */
  async infer(batch: EventBatch, options: CallOptions = {}): Promise<Directions> {
    const size = eventCount(batch)
    if (size === 0) return allocateDirections(0)
    const directions = allocateDirections(size)
    const { isAlone = false } = options
    const special = { kind: 'events', batch, directions, isAlone, remaining: size } as const
    return this.#submit<Directions>(size, options, (pending) => ({ ...pending, ...special }))
  }

  /** @throws as `infer`; Error where the network refuses the tensors */
  async runTensors(call: TensorCall, signal?: AbortSignal): Promise<NamedTensors> {
    // Also tensors of no rows have to be run, to have outputs of the right shape.
    const size = Math.max(1, call.rows?.count ?? 1)
    return this.#submit<NamedTensors>(size, { signal }, (pending) => ({ ...pending, kind: 'tensors', call }))
  }

  get deadlineMs(): number | undefined {
    return this.#options.deadlineMs
  }

  /** Hands planned jobs to free workers, and plans more as they are needed. Called whenever a worker may be free. */
  pump(): void {
    if (this.#workers.alive === 0) {
      this.abandon(this.#workers.noWorker())
      return
    }
    while (this.#workers.free > 0) {
      if (this.#planned.length === 0) this.#plan()
      const next = this.#planned.shift()
      if (next === undefined) return
      if (next.job.isWanted()) this.#run(next)
      else this.#finish(next, 0)
    }
  }

  /** Rejects everything that no worker has yet. */
  abandon(error: Error): void {
    for (const { job, window } of this.#planned.splice(0)) {
      this.#inHand -= job.size
      window.jobsLeft--
      job.fail(error)
    }
    for (const request of this.#waiting.splice(0)) request.reject(error)
  }

  #submit<Answer>(
    size: number,
    { signal, askedMs = performance.now() }: CallOptions,
    toRequest: (pending: PendingOf<Answer>) => Request,
  ): Promise<Answer> {
    signal?.throwIfAborted()
    if (this.#workers.alive === 0) throw this.#workers.noWorker()
    if (this.#isFull(size)) throw this.#full()
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const { deadlineMs } = this.#options
    const abort = () => request.reject(signal?.reason)
    const late = () => request.reject(new OutOfTime(`no answer within ${deadlineMs} ms`))
    const timer = deadlineMs && setTimeout(late, deadlineMs - (performance.now() - askedMs))
    const settle = (then: () => void): void => {
      if (request.isSettled) return
      request.isSettled = true
      if (request.isWaiting) this.#stopWaiting(request)
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      then()
    }
    const request = toRequest({
      size,
      queuedMs: performance.now(),
      isSettled: false,
      isWaiting: true,
      resolve: (answer) => settle(() => resolve(answer)),
      reject: (error) => settle(() => reject(error)),
    })
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiting.push(request)
    this.#waitingEvents += size
    this.#options.watch?.waiting(size)
    this.#pumpSoon()
    return promise
  }

  #isFull(size: number): boolean {
    // A request larger than the bound is taken when nothing else waits, or it could never be answered.
    if (this.#waitingEvents === 0) return false
    const waiting = this.#waitingEvents + size
    const { eventsMax = EVENTS_MAX, deadlineMs = Number.POSITIVE_INFINITY } = this.#options
    if (waiting > eventsMax) return true
    // A slow model with a long queue would only answer callers that have given up.
    return this.#pace.secondsFor(this.#inHand + waiting) > deadlineMs / 2000
  }

  #full(): UnavailableError {
    const seconds = Math.ceil(this.#pace.secondsFor(this.#waitingEvents))
    const retryAfterSeconds = Math.min(RETRY_AFTER_MAX_SECONDS, Math.max(1, seconds))
    const message = `${this.#waitingEvents} events wait for the model already; try again in ${retryAfterSeconds} s`
    return new UnavailableError('model_overloaded', message, { retryAfterSeconds })
  }

  #stopWaiting(request: Request): void {
    request.isWaiting = false
    this.#waitingEvents -= request.size
    this.#options.watch?.waiting(-request.size)
  }

  /** After the poll phase, so that requests read from other sockets in the same turn share a window. */
  #pumpSoon(): void {
    if (this.#isPumpDue) return
    this.#isPumpDue = true
    setImmediate(() => {
      this.#isPumpDue = false
      this.pump()
    })
  }

  /** Takes the oldest requests, up to a window, and plans jobs for all of them together. */
  #plan(): void {
    const taken = this.#take(Math.min(WINDOW_EVENTS, this.#pace.room - this.#inHand))
    if (taken.length === 0) return
    const startedMs = performance.now()
    const { kind } = taken[0]
    // `take` puts requests of one kind together.
    const jobs =
      kind === 'events'
        ? planEventJobs(taken as EventsRequest[], this.#options, this.#blocks)
        : planTensorJobs(taken as TensorsRequest[])
    const window: Window = { kind, startedMs, room: this.#pace.room, jobsLeft: jobs.length, events: 0 }
    for (const job of jobs) {
      this.#planned.push({ job, window })
      this.#inHand += job.size
    }
    const waits = taken.map(({ queuedMs }) => (startedMs - queuedMs) / 1000)
    this.#options.watch?.begun(kind, sizeOf(taken), waits)
  }

  /** The oldest request and those behind it that can join it, until there are `eventsMax` events. */
  #take(eventsMax: number): Request[] {
    const taken: Request[] = []
    let [at, events] = [0, 0]
    for (; at < this.#waiting.length && events < eventsMax; at++) {
      const next = this.#waiting[at]
      if (next.isSettled) continue
      if (taken.length > 0 && !joins(taken[0], next)) break
      this.#stopWaiting(next)
      taken.push(next)
      events += next.size
    }
    this.#waiting.splice(0, at)
    return taken
  }

  #run(next: Planned): void {
    this.#workers
      .run(next.job.build())
      .then((answer) => {
        next.job.deliver(answer)
        this.#finish(next, next.job.size)
      })
      .catch((error: unknown) => {
        this.#planFirst(next.job.fail(error), next.window)
        this.#finish(next, 0)
      })
  }

  #planFirst(jobs: readonly PlannedJob[], window: Window): void {
    for (const job of jobs) this.#inHand += job.size
    window.jobsLeft += jobs.length
    this.#planned.unshift(...jobs.map((job) => ({ job, window })))
  }

  #finish({ job, window }: Planned, events: number): void {
    this.#inHand -= job.size
    window.events += events
    if (--window.jobsLeft === 0) {
      const endedMs = performance.now()
      this.#pace.learn({ ...window, endedMs, isBusy: this.#waitingEvents > 0 })
      this.#options.watch?.finished(window.kind, (endedMs - window.startedMs) / 1000)
    }
    // There may be room for more now.
    this.#pumpSoon()
  }
}

type PendingOf<Answer> = Pick<Request, 'size' | 'queuedMs' | 'isSettled' | 'isWaiting' | 'reject'> & {
  readonly resolve: (answer: Answer) => void
}

function joins(first: Request, next: Request): boolean {
  if (first.kind === 'events') return next.kind === 'events' && !first.isAlone && !next.isAlone
  return next.kind === 'tensors' && canJoin(first.call, next.call)
}

function sizeOf(requests: readonly Request[]): number {
  return requests.reduce((sum, { size }) => sum + size, 0)
}
