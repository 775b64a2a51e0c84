import type { DrawnEvent, Refusal, Snapshot, StreamMessageName } from '../../src/display/messages.ts'
import { EMPTY_STATE, type StreamMessage, type StreamState, withMessage, withSnapshot } from './state.ts'

/** The browser functions that the stream needs; tests pass their own. */
export interface StreamOptions {
  /** Folder of the service's paths, ending in a slash. */
  readonly api: string
  readonly openSource: (url: string) => Source
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly now: () => number
  /** Called after every change. */
  readonly onState: (state: StreamState) => void
}

export type Source = Pick<EventSource, 'addEventListener' | 'close' | 'readyState'>

const NAMES = [
  'hello',
  'event',
  'sky',
  'strip',
  'health',
  'dead-letters',
  'dropped',
] as const satisfies readonly StreamMessageName[]
/** The service sends messages every second; after this much silence the connection is considered dead. */
const SILENCE_MS = 6_000
const AGAIN_MS = 1_000
const FETCH_WITHIN_MS = 10_000
/** Most messages kept until the snapshot arrives. */
const SINCE_MAX = 200
const CLOSED = 2

/**
 * Receives the messages of a display service and keeps their state. Reconnects by itself, with a new snapshot, after the
 * service was unreachable, restarted, went silent, or skipped messages because this browser was too slow.
 */
export class Stream {
  readonly #options: StreamOptions
  #state = EMPTY_STATE
  #source: Source | undefined
  #again: ReturnType<typeof setTimeout> | undefined
  #silence: ReturnType<typeof setTimeout> | undefined
  /** Messages since `hello`, until its snapshot arrives. */
  #since: StreamMessage[] | undefined
  #round = 0

  constructor(options: StreamOptions) {
    this.#options = options
  }

  get state(): StreamState {
    return this.#state
  }

  open(): void {
    this.close()
    const source = this.#options.openSource(`${this.#options.api}stream`)
    this.#source = source
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        if (this.#source === source && event instanceof MessageEvent) this.#hear(name, event.data)
      })
    }
    source.addEventListener('error', () => {
      if (this.#source === source) this.#lost(source.readyState === CLOSED)
    })
    this.#expectSomething()
  }

  close(): void {
    this.#source?.close()
    this.#source = undefined
    this.#round++
    clearTimeout(this.#again)
    clearTimeout(this.#silence)
  }

  /** An event with its pulses; undefined if it has left the service's window. @throws if the service is unreachable */
  async event(key: string): Promise<DrawnEvent | undefined> {
    const known = this.#state.drawn.find((event) => event.key === key)
    if (known) return known
    const response = await this.#get(`events/${encodeURIComponent(key)}`)
    if (response.status === 404) return undefined
    if (!response.ok) throw new Error(`the service answered ${response.status}`)
    return await response.json()
  }

  /** Opens the stream if the token is valid and returns undefined; otherwise returns the reason. */
  async giveToken(token: string): Promise<string | undefined> {
    const response = await this.#options.fetch(`${this.#options.api}token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token }),
      signal: AbortSignal.timeout(FETCH_WITHIN_MS),
    })
    if (!response.ok) return await reasonOf(response)
    this.#set({ ...this.#state, connection: 'connecting' })
    this.open()
    return undefined
  }

  #hear(name: StreamMessageName, data: unknown): void {
    this.#expectSomething()
    // Page and service have the same version and compile against one file.
    const message = { name, data: JSON.parse(String(data)) } as StreamMessage
    if (message.name === 'hello') {
      this.#since = []
      void this.#load(++this.#round)
      return
    }
    if (this.#since && this.#since.length < SINCE_MAX) this.#since.push(message)
    this.#set(withMessage(this.#state, message))
    if (message.name === 'dropped' && !this.#since) {
      this.#since = []
      void this.#load(++this.#round)
    }
  }

  async #load(round: number): Promise<void> {
    try {
      const response = await this.#get('snapshot')
      if (response.status === 401) return this.#refused()
      if (!response.ok) throw new Error(`the service answered ${response.status}`)
      const snapshot: Snapshot = await response.json()
      if (round !== this.#round) return
      const since = this.#since ?? []
      this.#since = undefined
      this.#set(withSnapshot(this.#state, snapshot, { since, nowMs: this.#options.now() }))
    } catch {
      if (round === this.#round) this.#lost(true)
    }
  }

  /** An `EventSource` reconnects by itself unless the answer was not an event stream. */
  #lost(isOver: boolean): void {
    this.#set({ ...this.#state, connection: this.#state.isLoaded ? 'lost' : 'connecting' })
    if (!isOver) return
    this.close()
    this.#again = setTimeout(() => void this.#askAndOpen(), AGAIN_MS)
  }

  /** An `EventSource` gives no reason for a refusal; the answer to a snapshot request does. */
  async #askAndOpen(): Promise<void> {
    const round = this.#round
    try {
      const { status } = await this.#get('snapshot')
      if (round !== this.#round) return
      if (status === 401) this.#refused()
      else this.open()
    } catch {
      if (round === this.#round) this.#lost(true)
    }
  }

  #refused(): void {
    this.close()
    this.#set({ ...this.#state, connection: 'refused' })
  }

  #expectSomething(): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => this.#lost(true), SILENCE_MS)
  }

  #get(path: string): Promise<Response> {
    const signal = AbortSignal.timeout(FETCH_WITHIN_MS)
    return this.#options.fetch(`${this.#options.api}${path}`, { signal })
  }

  #set(state: StreamState): void {
    this.#state = state
    this.#options.onState(state)
  }
}

async function reasonOf(response: Response): Promise<string> {
  const body: Partial<Refusal> = await response.json().catch(() => ({}))
  return body.error ?? `the service answered ${response.status}`
}
