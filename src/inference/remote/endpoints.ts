import { sleep } from '../../async/deadline.ts'
import { retry } from '../../async/retry.ts'
import { Signal } from '../../async/signal.ts'
import { UnavailableError } from '../../errors.ts'
import type { ModelServerStatus } from '../inferrer.ts'
import type { HttpCaller } from './http-caller.ts'

export interface EndpointsOptions {
  /** @throws UnavailableError unless the server can be asked now */
  readonly ready: (server: HttpCaller) => Promise<void>
  /** A request without an answer for so long goes to another server too; 0: never. Default: the 95th percentile of late. */
  readonly hedgeMs?: number | undefined
}

interface Endpoint {
  readonly server: HttpCaller
  underWay: number
  /** What a request is expected to take: the latest answer times, smoothed. */
  expectedMs: number
  problem: string | undefined
  answered: number
  failed: number
  hedged: number
}

/** Answer times that the automatic hedge delay is taken from, and how many are needed first. */
const TIMES = 128
const TIMES_MIN = 20
const HEDGE_QUANTILE = 0.95
/** At most so many of all requests are sent twice, or a slowdown of every server would double their load. */
const HEDGED_SHARE_MAX = 0.1
const HEDGE_CREDIT_FIRST = 3
const HEDGE_CREDIT_MAX = 5
const SMOOTHING = 0.2
const FORGETS = 0.99
const CHECK_BACKOFF = { firstMs: 250, capMs: 10_000 }

/**
 * Several model servers that give the same answers. A request goes to the server that is expected to answer first; to
 * another one when that fails, and to a second one as well when it is slow: the first answer counts.
 */
export class Endpoints {
  readonly #endpoints: readonly Endpoint[]
  readonly #options: EndpointsOptions
  readonly #closed = new AbortController()
  readonly #timesMs: number[] = []
  #requests = 0
  #hedgeCredit = HEDGE_CREDIT_FIRST

  constructor(servers: readonly HttpCaller[], options: EndpointsOptions) {
    this.#endpoints = servers.map((server) => {
      return { server, underWay: 0, expectedMs: 0, problem: undefined, answered: 0, failed: 0, hedged: 0 }
    })
    this.#options = options
  }

  get servers(): readonly HttpCaller[] {
    return this.#endpoints.map(({ server }) => server)
  }

  get status(): readonly ModelServerStatus[] {
    return this.#endpoints.map(({ server, problem, answered, failed, hedged }) => ({
      server: server.name,
      isUp: problem === undefined,
      ...(problem !== undefined && { problem }),
      answered,
      failed,
      hedged,
    }))
  }

  /**
   * The first answer of a server. `request` is called once for each server that is asked, and its signal aborts when
   * another one has answered.
   * @throws UnavailableError of the last server, when none can be asked
   * @throws the error of a server that refuses the request itself; the signal's reason when it aborts
   */
  async ask<T>(
    request: (server: HttpCaller, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<T> {
    this.#requests++
    this.#hedgeCredit = Math.min(HEDGE_CREDIT_MAX, this.#hedgeCredit + HEDGED_SHARE_MAX)
    const untried = new Set(this.#inOrder())
    for (;;) {
      const [endpoint] = untried
      untried.delete(endpoint)
      try {
        return await this.#askHedged(endpoint, untried, request, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof UnavailableError) || untried.size === 0) throw error
      }
    }
  }

  /** Resolves when one server is ready. @throws UnavailableError of the first one where none is */
  async ready(): Promise<void> {
    const checks = this.#endpoints.map(async (endpoint) => {
      try {
        await this.#options.ready(endpoint.server)
        endpoint.problem = undefined
      } catch (error) {
        endpoint.problem = messageOf(error)
        throw error
      }
    })
    await Promise.any(checks).catch(throwFirst)
  }

  close(): void {
    this.#closed.abort()
    for (const { server } of this.#endpoints) server.close()
  }

  /** Those that are up, the one expected to answer first before the others; those that are down only where none is up. */
  #inOrder(): readonly Endpoint[] {
    const up = this.#endpoints.filter(({ problem }) => problem === undefined)
    const candidates = up.length > 0 ? up : this.#endpoints
    // A server that was slow is expected to be faster again some time, or it would never be asked.
    for (const endpoint of this.#endpoints) endpoint.expectedMs *= FORGETS
    const costOf = ({ underWay, expectedMs }: Endpoint) => (underWay + 1) * Math.max(1, expectedMs)
    // Those of equal cost take turns.
    const turn = this.#requests % candidates.length
    return [...candidates.slice(turn), ...candidates.slice(0, turn)].sort((a, b) => costOf(a) - costOf(b))
  }

  async #askHedged<T>(
    endpoint: Endpoint,
    untried: Set<Endpoint>,
    request: (server: HttpCaller, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const hedgeMs = this.#hedgeMs()
    if (hedgeMs === undefined || untried.size === 0) return await this.#timed(endpoint, request, signal)
    const answered = new AbortController()
    const either = AbortSignal.any([signal, answered.signal])
    const settled = new Signal()
    let isSettled = false
    const first = this.#timed(endpoint, request, either).finally(() => {
      isSettled = true
      settled.notify()
    })
    first.catch(() => {})
    try {
      await settled.wait(hedgeMs, signal)
      if (isSettled || signal.aborted || this.#hedgeCredit < 1) return await first
      const [second] = untried
      untried.delete(second)
      this.#hedgeCredit--
      second.hedged++
      return await Promise.any([first, this.#timed(second, request, either)]).catch(throwFirst)
    } finally {
      answered.abort()
    }
  }

  async #timed<T>(
    endpoint: Endpoint,
    request: (server: HttpCaller, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const startedMs = performance.now()
    endpoint.underWay++
    try {
      const answer = await request(endpoint.server, signal)
      const tookMs = performance.now() - startedMs
      endpoint.answered++
      endpoint.problem = undefined
      const isFirst = endpoint.answered === 1
      endpoint.expectedMs = isFirst
        ? tookMs
        : endpoint.expectedMs + SMOOTHING * (tookMs - endpoint.expectedMs)
      if (this.#timesMs.push(tookMs) > TIMES) this.#timesMs.shift()
      return answer
    } catch (error) {
      if (error instanceof UnavailableError) this.#markDown(endpoint, error)
      // Another server was faster.
      else if (signal.aborted)
        endpoint.expectedMs = Math.max(endpoint.expectedMs, performance.now() - startedMs)
      throw error
    } finally {
      endpoint.underWay--
    }
  }

  #hedgeMs(): number | undefined {
    const { hedgeMs } = this.#options
    if (hedgeMs !== undefined) return hedgeMs > 0 ? hedgeMs : undefined
    if (this.#endpoints.length === 1 || this.#timesMs.length < TIMES_MIN) return undefined
    const ascending = this.#timesMs.toSorted((a, b) => a - b)
    return ascending[Math.floor(HEDGE_QUANTILE * ascending.length)]
  }

  /** Takes a server out of the turn until its health check succeeds. A single server is asked directly instead. */
  #markDown(endpoint: Endpoint, error: UnavailableError): void {
    endpoint.failed++
    const isChecked = endpoint.problem !== undefined
    endpoint.problem = error.message
    if (isChecked || this.#endpoints.length === 1) return
    void this.#checkUntilReady(endpoint, 1000 * (error.retryAfterSeconds ?? 0))
  }

  async #checkUntilReady(endpoint: Endpoint, waitMs: number): Promise<void> {
    const { signal } = this.#closed
    await sleep(waitMs, signal)
    const check = async (): Promise<void> => {
      await this.#options.ready(endpoint.server)
      endpoint.problem = undefined
    }
    await retry(check, { signal, backoff: CHECK_BACKOFF, isTransient: () => true }).catch(() => {})
  }
}

function throwFirst(error: unknown): never {
  throw error instanceof AggregateError ? error.errors[0] : error
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
