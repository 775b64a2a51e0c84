import { RequestError } from './request-error.ts'

/** How asks are merged into one batch of work and each gets its own answer. */
export interface Work<Ask, Answer> {
  /** Events (or tensor rows) of an ask: its weight in the queue and in a batch. */
  size(ask: Ask): number
  /** Whether `next` may share a batch with `first`. */
  joins(first: Ask, next: Ask): boolean
  /**
   * Answers, or an error, for each ask in the order of the asks; what it throws is the answer to all of them. The
   * signal aborts when nobody waits for any of them.
   */
  run(asks: readonly Ask[], signal: AbortSignal): Promise<readonly (Answer | Error)[]>
}

export interface CoalesceLimits {
  /** Batches with the model at once. */
  readonly batchesAtWorkMax: number
  /**
   * Events with the model at once, more only where one ask alone has more. A slow model gets fewer, down to
   * `eventsAtWorkMin`: what it has at once shares it and ends together, so that all would come too late.
   */
  readonly eventsAtWorkMax: number
  /** Enough to keep it busy. */
  readonly eventsAtWorkMin: number
  readonly queueEventsMax: number
  readonly batchEventsMax: number
  readonly deadlineMs: number
}

/** What the queue tells its watcher. All optional work: never throws. */
export interface CoalesceWatch {
  dispatched(events: number, waitsSeconds: readonly number[]): void
  ran(seconds: number): void
  refused(): void
}

/** One ask in the queue or at work. */
export interface Ticket<Answer> {
  readonly answer: Promise<Answer>
  /** Frees the place: the caller is gone. Harmless once answered. */
  cancel(): void
}

interface Waiting<Ask, Answer> {
  readonly ask: Ask
  readonly size: number
  readonly enqueuedAt: number
  readonly deadline: NodeJS.Timeout
  batch: Batch | undefined
  settled: boolean
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/** What is with the model at once is to take no more than this share of the deadline. */
const AT_WORK_OF_DEADLINE = 1 / 8

interface Batch {
  /** Events that might be at work together with it. */
  readonly room: number
  readonly abort: AbortController
  /** Asks that somebody still waits for. */
  wanted: number
}

/**
 * Merges what is asked at the same moment: while the model has room it gets what is there at once, and only while it is
 * busy do asks wait and gather. Waiting for company on purpose would add latency and no throughput.
 * Order is first come, first served; every ask has a deadline and the queue a bound.
 */
export class Coalescer<Ask, Answer> {
  readonly #work: Work<Ask, Answer>
  readonly #limits: CoalesceLimits
  readonly #watch: CoalesceWatch
  #queue: Waiting<Ask, Answer>[] = []
  #queuedEvents = 0
  #batchesAtWork = 0
  #eventsAtWork = 0
  /** Events that may be at work now, between the two limits. */
  #room: number
  #eventsPerSecond = 0
  #pumpScheduled = false
  #closed = false
  #onIdle: (() => void)[] = []

  constructor(work: Work<Ask, Answer>, limits: CoalesceLimits, watch: CoalesceWatch) {
    this.#work = work
    this.#limits = limits
    this.#room = Math.min(limits.eventsAtWorkMin, limits.eventsAtWorkMax)
    this.#watch = watch
  }

  /** Events that wait for the model. */
  get queuedEvents(): number {
    return this.#queuedEvents
  }

  /**
   * @throws RequestError `overloaded` when the queue is full, `closing` after `close`; the ticket's answer rejects with
   * `deadline_exceeded`, or with what `run` threw
   */
  submit(ask: Ask): Ticket<Answer> {
    const size = this.#work.size(ask)
    if (this.#closed) throw new RequestError('closing', 'the server is closing', { retryAfterSeconds: 1 })
    if (this.#isFull(size)) this.#refuse()
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const waiting: Waiting<Ask, Answer> = {
      ask,
      size,
      enqueuedAt: performance.now(),
      deadline: setTimeout(() => this.#expire(waiting), this.#limits.deadlineMs),
      batch: undefined,
      settled: false,
      resolve,
      reject,
    }
    this.#queue.push(waiting)
    this.#queuedEvents += size
    this.#schedule()
    return { answer: promise, cancel: () => this.#drop(waiting) }
  }

  /** Refuses new asks, and resolves when those that it holds are answered. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#isIdle()) return
    await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  #isFull(size: number): boolean {
    // An ask larger than the whole queue is still taken when nothing waits, or it could never be answered.
    if (this.#queuedEvents === 0) return false
    const events = this.#queuedEvents + size
    if (events > this.#limits.queueEventsMax) return true
    // A slow model with a long queue would do nothing but answer those who have given up waiting.
    return this.#secondsFor(this.#eventsAtWork + events) > this.#limits.deadlineMs / 2000
  }

  /** How long the model takes for so many events, as far as it is known; 0 where it is not. */
  #secondsFor(events: number): number {
    return this.#eventsPerSecond > 0 ? events / this.#eventsPerSecond : 0
  }

  #refuse(): never {
    this.#watch.refused()
    const retryAfterSeconds = Math.min(60, Math.max(1, Math.ceil(this.#secondsFor(this.#queuedEvents))))
    throw new RequestError(
      'overloaded',
      `${this.#queuedEvents} events wait already, as many as the model can answer in time; try again in ${retryAfterSeconds} s`,
      { retryAfterSeconds },
    )
  }

  // After the poll phase, so that requests read from other sockets in the same turn share the batch.
  #schedule(): void {
    if (this.#pumpScheduled) return
    this.#pumpScheduled = true
    setImmediate(() => {
      this.#pumpScheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    const { batchesAtWorkMax, batchEventsMax } = this.#limits
    while (
      this.#queue.length > 0 &&
      this.#batchesAtWork < batchesAtWorkMax &&
      this.#eventsAtWork < this.#room
    ) {
      this.#start(this.#take(Math.min(batchEventsMax, this.#room - this.#eventsAtWork)))
    }
  }

  /** The oldest ask, and those right behind it that may join it and fit. */
  #take(eventsMax: number): Waiting<Ask, Answer>[] {
    const [first] = this.#queue
    let events = first.size
    let count = 1
    while (count < this.#queue.length) {
      const next = this.#queue[count]
      if (events + next.size > eventsMax || !this.#work.joins(first.ask, next.ask)) break
      events += next.size
      count += 1
    }
    this.#queuedEvents -= events
    return this.#queue.splice(0, count)
  }

  #start(taken: readonly Waiting<Ask, Answer>[]): void {
    const batch: Batch = { room: this.#room, abort: new AbortController(), wanted: taken.length }
    const startedAt = performance.now()
    let events = 0
    for (const waiting of taken) {
      waiting.batch = batch
      events += waiting.size
    }
    this.#batchesAtWork += 1
    this.#eventsAtWork += events
    this.#watch.dispatched(
      events,
      taken.map((waiting) => (startedAt - waiting.enqueuedAt) / 1000),
    )
    this.#run(taken, batch)
      .catch((error: unknown) => {
        for (const waiting of taken) if (this.#settle(waiting)) waiting.reject(error)
      })
      .finally(() => this.#finish(batch, events, (performance.now() - startedAt) / 1000))
  }

  #finish(batch: Batch, events: number, seconds: number): void {
    this.#watch.ran(seconds)
    this.#makeRoom(batch, events, seconds)
    if (this.#queuedEvents > 0) this.#learnRate(this.#eventsAtWork / Math.max(seconds, 1e-6))
    this.#batchesAtWork -= 1
    this.#eventsAtWork -= events
    this.#schedule()
    if (this.#isIdle()) for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  /** More may be at work while it is done soon and more waits, less when it takes too long. */
  #makeRoom({ room, abort }: Batch, events: number, seconds: number): void {
    const { eventsAtWorkMin, eventsAtWorkMax, deadlineMs } = this.#limits
    const fits = (AT_WORK_OF_DEADLINE * deadlineMs) / 1000 / Math.max(seconds, 1e-6)
    if (fits < 1) this.#room = Math.max(eventsAtWorkMin, Math.min(this.#room, Math.floor(room * fits)))
    // One that nobody waits for any more ends early, which says nothing of the model.
    else if (this.#queuedEvents > 0 && !abort.signal.aborted)
      this.#room = Math.min(eventsAtWorkMax, this.#room + events)
  }

  /** By Little's law: what is at work over how long it is there, while it is all that the model can do. Smoothed. */
  #learnRate(eventsPerSecond: number): void {
    const known = this.#eventsPerSecond
    this.#eventsPerSecond = known === 0 ? eventsPerSecond : 0.9 * known + 0.1 * eventsPerSecond
  }

  async #run(taken: readonly Waiting<Ask, Answer>[], batch: Batch): Promise<void> {
    const answers = await this.#work.run(
      taken.map((waiting) => waiting.ask),
      batch.abort.signal,
    )
    for (const [i, waiting] of taken.entries()) {
      if (!this.#settle(waiting)) continue
      const answer = answers[i]
      if (answer instanceof Error) waiting.reject(answer)
      else waiting.resolve(answer)
    }
  }

  #expire(waiting: Waiting<Ask, Answer>): void {
    if (!this.#leave(waiting)) return
    const message = `no answer within ${this.#limits.deadlineMs} ms`
    waiting.reject(new RequestError('deadline_exceeded', message, { retryAfterSeconds: 1 }))
  }

  #drop(waiting: Waiting<Ask, Answer>): void {
    if (this.#leave(waiting)) waiting.reject(new RequestError('closing', 'the caller is gone'))
  }

  /** Takes an ask out of the queue, or out of the count of those who want its batch. */
  #leave(waiting: Waiting<Ask, Answer>): boolean {
    if (!this.#settle(waiting)) return false
    if (waiting.batch === undefined) {
      this.#queue.splice(this.#queue.indexOf(waiting), 1)
      this.#queuedEvents -= waiting.size
      if (this.#isIdle()) for (const resolve of this.#onIdle.splice(0)) resolve()
    } else {
      waiting.batch.wanted -= 1
      if (waiting.batch.wanted === 0) waiting.batch.abort.abort()
    }
    return true
  }

  /** True the first time. */
  #settle(waiting: Waiting<Ask, Answer>): boolean {
    if (waiting.settled) return false
    waiting.settled = true
    clearTimeout(waiting.deadline)
    return true
  }

  #isIdle(): boolean {
    return this.#queue.length === 0 && this.#batchesAtWork === 0
  }
}
