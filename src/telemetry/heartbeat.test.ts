import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { startHeartbeat } from './heartbeat.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

async function gauge(registry: Registry): Promise<number | undefined> {
  const metric = await registry.getSingleMetric('nustream_heartbeat_timestamp_seconds')?.get()
  return metric?.values[0]?.value
}

const leave = async () => {}
const base = { role: 'consume', instance: 'C1', everyMs: 1_000, url: undefined }

it('startHeartbeat() beats at once and at every interval, in the gauge and in the broker', async () => {
  const registry = new Registry()
  const beat = vi.fn(async () => {})
  startHeartbeat({ ...base, registry, broker: { beat, leave }, signal: new AbortController().signal })
  expect(await gauge(registry)).toBe(1_000)
  await vi.advanceTimersByTimeAsync(3_000)
  expect(await gauge(registry)).toBe(1_003)
  expect(beat).toHaveBeenCalledTimes(4)
  expect(beat).toHaveBeenLastCalledWith({ role: 'consume', instance: 'C1', everyMs: 1_000, url: undefined })
})

it('startHeartbeat() updates the gauge while the broker hangs, with one attempt in flight', async () => {
  const registry = new Registry()
  const beat = vi.fn(() => new Promise<void>(() => {}))
  startHeartbeat({ ...base, registry, broker: { beat, leave }, signal: new AbortController().signal })
  await vi.advanceTimersByTimeAsync(5_000)
  expect(await gauge(registry)).toBe(1_005)
  expect(beat).toHaveBeenCalledTimes(1)
})

it('startHeartbeat() survives a broker that refuses and tries again', async () => {
  const beat = vi.fn(async () => Promise.reject(new Error('away')))
  startHeartbeat({
    ...base,
    registry: new Registry(),
    broker: { beat, leave },
    signal: new AbortController().signal,
  })
  await vi.advanceTimersByTimeAsync(2_000)
  expect(beat).toHaveBeenCalledTimes(3)
})

it('startHeartbeat() stops with its signal', async () => {
  const stop = new AbortController()
  const registry = new Registry()
  startHeartbeat({ ...base, registry, signal: stop.signal })
  stop.abort()
  await vi.advanceTimersByTimeAsync(5_000)
  expect(await gauge(registry)).toBe(1_000)
})

it('two parts of one process share the gauge', async () => {
  const registry = new Registry()
  const { signal } = new AbortController()
  startHeartbeat({ ...base, registry, signal })
  startHeartbeat({ ...base, role: 'emit', registry, signal })
  const metric = await registry.getSingleMetric('nustream_heartbeat_timestamp_seconds')?.get()
  expect(metric?.values.map(({ labels }) => labels['role'])).toEqual(['consume', 'emit'])
})

it('leave() stops the beats and takes the name out, after a beat that is under way', async () => {
  const calls: string[] = []
  const gate = Promise.withResolvers<void>()
  const broker = {
    beat: vi.fn(async () => {
      await gate.promise
      calls.push('beat')
    }),
    leave: vi.fn(async () => void calls.push('leave')),
  }
  const { signal } = new AbortController()
  const beating = startHeartbeat({ ...base, registry: new Registry(), broker, signal })
  const left = beating.leave()
  await vi.advanceTimersByTimeAsync(500)
  gate.resolve()
  await left
  await vi.advanceTimersByTimeAsync(5_000)
  expect(calls).toEqual(['beat', 'leave'])
  expect(broker.leave).toHaveBeenCalledExactlyOnceWith({ role: 'consume', instance: 'C1' })
})

it('leave() gives up after a second on a broker that hangs, and at once on one that refuses', async () => {
  const { signal } = new AbortController()
  const start = (stuck: () => Promise<void>) =>
    startHeartbeat({
      ...base,
      registry: new Registry(),
      broker: { beat: async () => {}, leave: stuck },
      signal,
    })
  const hung = vi.fn()
  void start(() => new Promise<void>(() => {}))
    .leave()
    .then(hung)
  await vi.advanceTimersByTimeAsync(999)
  expect(hung).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  expect(hung).toHaveBeenCalled()
  await start(async () => Promise.reject(new Error('away'))).leave()
})
