import { UnavailableError } from '../../errors.ts'
import { type EventBatch, eventCount } from '../../event/event-batch.ts'
import { allocateDirections, type Directions, type InferenceFault } from '../directions.ts'
import type { NamedTensors } from '../tensors/tensor.ts'
import { Blocks } from './blocks.ts'
import { answersOf, type EventAt, type PackedEvents, packEvents } from './packed-events.ts'
import { planRuns, type RunLimits } from './plan-runs.ts'
import type { Job, JobAnswer } from './worker-messages.ts'
import type { WorkerPool } from './worker-pool.ts'

export interface SchedulerOptions extends RunLimits {
  readonly threads: number
  /** Pulses that the model takes of an event of so many; sorts events into runs, need not be exact. */
  readonly tokensOf: (pulses: number) => number
  /** Events that may wait for a worker; beyond them a request is refused. */
  readonly waitingEventsMax?: number
}

/** Events sorted into runs together. More makes padding rarer and the first answer later. */
const WINDOW_EVENTS = 512
const WAITING_EVENTS_MAX = 65_536
/** Runs are not split further than this to keep all workers busy: smaller ones cost more than they gain. */
const TOKENS_PER_RUN_MIN = 256

/** A job costs two messages between threads, so a full window goes out as few jobs; but enough to end together. */
const JOBS_PER_WORKER = 3
const RUNS_PER_JOB_MAX = 6

/** One call of `infer`. Its events may share runs with those of other calls. */
interface Request {
  readonly batch: EventBatch
  readonly answers: Directions
  readonly resolve: (answers: Directions) => void
  readonly reject: (error: unknown) => void
  remaining: number
  isSettled: boolean
}

interface Planned {
  readonly isWanted: () => boolean
  readonly build: () => Job
  readonly resolve: (answer: JobAnswer) => void
  readonly reject: (error: unknown) => void
}

interface RequestEvent extends EventAt {
  readonly request: Request
}

/**
 * Spreads requests over the workers of a pool. While workers are idle a request starts at once; while they are busy
 * requests gather, and the next free worker takes from all of them together, shortest events first, so that runs are
 * full and hold little padding.
 */
export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #pool: WorkerPool
  readonly #waiting: Request[] = []
  readonly #planned: Planned[] = []
  readonly #blocks: Blocks
  #waitingEvents = 0

  constructor(pool: WorkerPool, options: SchedulerOptions) {
    this.#pool = pool
    this.#options = options
    this.#blocks = new Blocks(2 * options.threads)
  }

  /** @throws UnavailableError when too much waits, or when a worker dies with some of the events */
  infer(batch: EventBatch, signal?: AbortSignal): Promise<Directions> {
    const events = eventCount(batch)
    if (events === 0) return Promise.resolve(allocateDirections(0))
    signal?.throwIfAborted()
    this.throwIfUnable(events)
    const { promise, resolve, reject } = Promise.withResolvers<Directions>()
    const request: Request = {
      batch,
      answers: allocateDirections(events),
      resolve,
      reject,
      remaining: events,
      isSettled: false,
    }
    const abort = () => fail(request, signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiting.push(request)
    this.#waitingEvents += events
    this.pump()
    return promise.finally(() => signal?.removeEventListener('abort', abort))
  }

  /** Waits its turn behind what is planned already. @throws Error where the network refuses the tensors */
  runTensors(
    inputs: NamedTensors,
    outputs: readonly string[] | undefined,
    signal?: AbortSignal,
  ): Promise<NamedTensors> {
    signal?.throwIfAborted()
    this.throwIfUnable(1)
    const { promise, resolve, reject } = Promise.withResolvers<NamedTensors>()
    this.#planned.push({
      isWanted: () => !signal?.aborted,
      build: () => ({ kind: 'tensors', inputs, outputs }),
      resolve: (answer) => answer.kind === 'tensors' && resolve(answer.outputs),
      reject,
    })
    const abort = () => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.pump()
    return promise.finally(() => signal?.removeEventListener('abort', abort))
  }

  /** @throws UnavailableError when `infer` of so many events would be refused now */
  throwIfUnable(events: number): void {
    if (this.#pool.alive === 0) throw this.#pool.noWorker()
    const most = this.#options.waitingEventsMax ?? WAITING_EVENTS_MAX
    // A single request of any size is taken when nothing else waits.
    if (this.#waitingEvents > 0 && this.#waitingEvents + events > most) this.#refuse(most)
    if (this.#planned.length > most) this.#refuse(most)
  }

  /** Hands planned jobs to free workers, planning more as they are needed. */
  pump(): void {
    if (this.#pool.alive === 0) {
      this.abandon(this.#pool.noWorker())
      return
    }
    while (this.#pool.free > 0) {
      if (this.#planned.length === 0) this.#plan()
      const next = this.#planned.shift()
      if (next === undefined) return
      if (!next.isWanted()) continue
      this.#pool.run(next.build()).then(next.resolve, next.reject)
    }
  }

  /** Rejects everything that no worker has yet. */
  abandon(error: Error): void {
    for (const planned of this.#planned.splice(0)) planned.reject(error)
    for (const request of this.#waiting.splice(0)) fail(request, error)
    this.#waitingEvents = 0
  }

  #refuse(most: number): never {
    const text = `${this.#waitingEvents} events wait for the model already, at most ${most} may: slow down or add threads`
    throw new UnavailableError('model_overloaded', text, { retryAfterSeconds: 1 })
  }

  /** Takes the oldest requests, up to a window, and makes runs of all their events together. */
  #plan(): void {
    const window: RequestEvent[] = []
    while (this.#waiting.length > 0 && window.length < WINDOW_EVENTS) {
      const request = this.#waiting.shift()
      if (request === undefined) break
      const events = eventCount(request.batch)
      this.#waitingEvents -= events
      if (request.isSettled) continue
      for (let event = 0; event < events; event++) window.push({ request, batch: request.batch, event })
    }
    const lengths = Int32Array.from(window, ({ batch, event }) =>
      this.#options.tokensOf(batch.offsets[event + 1] - batch.offsets[event]),
    )
    const { order, sizes } = planRuns(lengths, this.#limitsFor(lengths))
    const runsPerJob = clamp(
      Math.floor(sizes.length / (JOBS_PER_WORKER * this.#options.threads)),
      1,
      RUNS_PER_JOB_MAX,
    )
    for (let run = 0, from = 0; run < sizes.length; run += runsPerJob) {
      const runSizes = sizes.slice(run, run + runsPerJob)
      const to = runSizes.reduce((sum, size) => sum + size, from)
      this.#planned.push(
        this.#planEvents(
          Array.from(order.subarray(from, to), (i) => window[i]),
          runSizes,
        ),
      )
      from = to
    }
  }

  #planEvents(events: readonly RequestEvent[], runSizes: readonly number[]): Planned {
    let packed: PackedEvents | undefined
    return {
      isWanted: () => events.some(({ request }) => !request.isSettled),
      build: () => {
        packed = packEvents(events, this.#blocks)
        return { kind: 'events', events: packed, runSizes }
      },
      resolve: (answer) => {
        if (packed === undefined || answer.kind !== 'events') return
        deliver(events, answersOf(packed), answer.faults)
        this.#blocks.giveBack(packed.buffer)
      },
      // The block is not given back: a worker that is late may still read it.
      reject(error) {
        for (const { request } of events) fail(request, error)
      },
    }
  }

  /** A few events are spread over all workers rather than filling one run. */
  #limitsFor(lengths: Int32Array): RunLimits {
    const { threads, tokensPerRun, eventsPerRun, equalLengths } = this.#options
    const share = lengths.reduce((sum, length) => sum + length, 0) / threads
    // A manifest may ask for runs that are smaller still.
    const least = Math.min(TOKENS_PER_RUN_MIN, tokensPerRun)
    return { tokensPerRun: clamp(Math.ceil(share), least, tokensPerRun), eventsPerRun, equalLengths }
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}

function deliver(
  events: readonly RequestEvent[],
  columns: Float64Array,
  faults: readonly InferenceFault[],
): void {
  const count = events.length
  for (const { index, code, message } of faults) {
    const { request, event } = events[index]
    request.answers.faults.push({ index: event, code, message })
  }
  for (const [i, { request, event }] of events.entries()) {
    const { azimuth, zenith, kappa, degenerate } = request.answers
    azimuth[event] = columns[i]
    zenith[event] = columns[count + i]
    kappa[event] = columns[2 * count + i]
    degenerate[event] = columns[3 * count + i]
    if (--request.remaining === 0 && !request.isSettled) {
      request.isSettled = true
      request.answers.faults.sort((a, b) => a.index - b.index)
      request.resolve(request.answers)
    }
  }
}

function fail(request: Request, error: unknown): void {
  if (request.isSettled) return
  request.isSettled = true
  request.reject(error)
}
