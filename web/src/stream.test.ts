import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StreamMessageName, StreamMessages } from '../../src/display/messages.ts'
import { exampleEvent } from './example-events.ts'
import { EMPTY_STATE, type StreamState } from './state.ts'
import { type Source, Stream } from './stream.ts'

/** A server-sent event source that the test controls. */
class FakeSource implements Source {
  readyState = 0
  isClosed = false
  readonly #listeners = new Map<string, ((event: Event) => void)[]>()

  addEventListener(name: string, listener: unknown): void {
    // The stream passes functions only.
    const listeners = [...(this.#listeners.get(name) ?? []), listener as (event: Event) => void]
    this.#listeners.set(name, listeners)
  }

  close(): void {
    this.isClosed = true
  }

  send<Name extends StreamMessageName>(name: Name, data: StreamMessages[Name]): void {
    this.#tell(name, new MessageEvent(name, { data: JSON.stringify(data) }))
  }

  fail(readyState: number): void {
    this.readyState = readyState
    this.#tell('error', new Event('error'))
  }

  #tell(name: string, event: Event): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(event)
  }
}

const SNAPSHOT = {
  service: 'a',
  atMs: 1_000,
  settings: EMPTY_STATE.settings,
  events: [],
  newest: null,
  sky: EMPTY_STATE.sky,
  strips: [],
  health: { atMs: 1, brokerUp: true, parts: [] },
  deadLetters: { newest: [] },
}
const HELLO = { service: 'a', atMs: 1_000 }

function openStream(answer: (url: string) => Response | Promise<Response> = () => Response.json(SNAPSHOT)) {
  const sources: FakeSource[] = []
  const states: StreamState[] = []
  const asked: string[] = []
  const stream = new Stream({
    api: 'http://here/api/',
    openSource: () => {
      const source = new FakeSource()
      sources.push(source)
      return source
    },
    fetch: async (url) => {
      asked.push(url)
      return await answer(url)
    },
    now: () => 0,
    onState: (state) => states.push(state),
  })
  stream.open()
  return { stream, sources, states, asked }
}

async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0)
}

describe('Stream', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is live after the greeting and the snapshot', async () => {
    const { stream, sources, asked } = openStream()
    expect(stream.state.connection).toBe('connecting')
    sources[0].send('hello', HELLO)
    await settle()
    expect(asked).toEqual(['http://here/api/snapshot'])
    expect(stream.state.connection).toBe('live')
  })

  it('loses no message that arrives before the snapshot', async () => {
    const { promise, resolve } = Promise.withResolvers<Response>()
    const { stream, sources } = openStream(() => promise)
    sources[0].send('hello', HELLO)
    sources[0].send('event', exampleEvent({ key: '9~x' }))
    resolve(Response.json(SNAPSHOT))
    await settle()
    expect(stream.state.events.map(({ key }) => key)).toEqual(['9~x'])
  })

  it('shows that the connection is lost, and fetches a new snapshot when it is back', async () => {
    const { stream, sources, asked } = openStream()
    sources[0].send('hello', HELLO)
    await settle()
    sources[0].fail(0)
    expect(stream.state.connection).toBe('lost')
    sources[0].send('hello', { ...HELLO, service: 'b' })
    await settle()
    expect(stream.state.connection).toBe('live')
    expect(asked).toHaveLength(2)
  })

  it('ignores a snapshot older than the newest greeting', async () => {
    const late = Promise.withResolvers<Response>()
    const answers = [late.promise, Promise.resolve(Response.json({ ...SNAPSHOT, service: 'b' }))]
    const { stream, sources } = openStream(() => answers.shift() ?? Response.error())
    sources[0].send('hello', HELLO)
    sources[0].send('hello', { ...HELLO, service: 'b' })
    await settle()
    late.resolve(Response.json(SNAPSHOT))
    await settle()
    expect(stream.state.service).toBe('b')
  })

  it('reopens a connection that is closed for good', async () => {
    const { stream, sources } = openStream()
    sources[0].send('hello', HELLO)
    await settle()
    sources[0].fail(2)
    await vi.advanceTimersByTimeAsync(1_500)
    expect(sources).toHaveLength(2)
    expect(sources[0].isClosed).toBe(true)
    sources[1].send('hello', HELLO)
    await settle()
    expect(stream.state.connection).toBe('live')
  })

  it('keeps retrying while the service is unreachable', async () => {
    let isAway = true
    const { stream, sources } = openStream(() => {
      if (isAway) throw new TypeError('failed to fetch')
      return Response.json(SNAPSHOT)
    })
    sources[0].fail(2)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(sources).toHaveLength(1)
    isAway = false
    await vi.advanceTimersByTimeAsync(1_500)
    expect(sources).toHaveLength(2)
    sources[1].send('hello', HELLO)
    await settle()
    expect(stream.state.connection).toBe('live')
  })

  it('treats silence as a dead connection', async () => {
    const { stream, sources } = openStream()
    sources[0].send('hello', HELLO)
    await settle()
    await vi.advanceTimersByTimeAsync(6_500)
    expect(stream.state.connection).toBe('lost')
    await vi.advanceTimersByTimeAsync(1_500)
    expect(sources).toHaveLength(2)
  })

  it('fetches the snapshot again after it was too slow for some messages', async () => {
    const { stream, sources, asked } = openStream()
    sources[0].send('hello', HELLO)
    await settle()
    sources[0].send('dropped', { messages: 7, total: 7 })
    await settle()
    expect(asked).toHaveLength(2)
    expect(stream.state.droppedMessages).toBe(7)
  })

  it('asks for a token if one is required, and connects with a valid one', async () => {
    let isAllowed = false
    const { stream, sources } = openStream((url) => {
      if (url.endsWith('/token')) {
        isAllowed = true
        return new Response(undefined, { status: 204 })
      }
      return isAllowed
        ? Response.json(SNAPSHOT)
        : Response.json({ error: 'a token is required' }, { status: 401 })
    })
    sources[0].fail(2)
    await vi.advanceTimersByTimeAsync(1_500)
    expect(stream.state.connection).toBe('refused')
    expect(await stream.giveToken('right')).toBeUndefined()
    sources.at(-1)?.send('hello', HELLO)
    await settle()
    expect(stream.state.connection).toBe('live')
  })

  it('gives the reason why a token is refused', async () => {
    const { stream } = openStream(() => Response.json({ error: 'the token is not valid' }, { status: 401 }))
    expect(await stream.giveToken('wrong')).toBe('the token is not valid')
  })

  it('returns an event that it has, fetches one that it lacks, and gives undefined for one that has left', async () => {
    const { stream, sources, asked } = openStream((url) => {
      if (url.endsWith('/snapshot')) return Response.json(SNAPSHOT)
      return url.endsWith('/events/old~1')
        ? Response.json(exampleEvent({ key: 'old~1' }))
        : Response.json({ error: 'gone' }, { status: 404 })
    })
    sources[0].send('hello', HELLO)
    sources[0].send('event', exampleEvent({ key: 'new~1' }))
    await settle()
    expect((await stream.event('new~1'))?.key).toBe('new~1')
    expect(asked).toHaveLength(1)
    expect((await stream.event('old~1'))?.key).toBe('old~1')
    expect(await stream.event('gone~1')).toBeUndefined()
  })

  it('ignores messages of a connection that it has left', async () => {
    const { stream, sources } = openStream()
    stream.open()
    sources[0].send('hello', HELLO)
    await settle()
    expect(stream.state.connection).toBe('connecting')
  })
})
