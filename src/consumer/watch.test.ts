import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Heartbeat } from '../broker/contract.ts'
import { UnavailableError } from '../errors.ts'
import { consumerMetrics } from './metrics.ts'
import { watchBacklog } from './watch.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function beat(role: string, instance: string, beatAtMs: number): Heartbeat {
  return { role, instance, beatAtMs, everyMs: 5_000, url: undefined, alive: true }
}

function watch(ping: () => Promise<void>, beats: readonly Heartbeat[] = []) {
  const registry = new Registry()
  const stop = new AbortController()
  const broker = {
    ping: vi.fn(ping),
    backlog: async () => ({ unreadBatches: 5, leasedBatches: 2, events: 700, oldestAgeMs: 1_500 }),
    totals: async () => ({ emitted: 1_000, predicted: 290, deadLettered: 10 }),
    heartbeats: async () => [...beats],
  }
  watchBacklog({ broker, metrics: consumerMetrics(registry), everyMs: 1_000, signal: stop.signal })
  const value = (name: string) => registry.getSingleMetricAsString(`nustream_broker_${name}`)
  return { broker, stop, value }
}

it('watchBacklog() shows what waits and what became of the rest', async () => {
  const { value } = watch(async () => {})
  await vi.advanceTimersByTimeAsync(0)
  expect(await value('up')).toMatch(/ 1$/)
  expect(await value('backlog_batches')).toContain('{state="unread"} 5')
  expect(await value('backlog_batches')).toContain('{state="on_loan"} 2')
  expect(await value('backlog_events')).toMatch(/ 700$/)
  expect(await value('oldest_age_seconds')).toMatch(/ 1.5$/)
  expect(await value('events')).toContain('{fate="dead_lettered"} 10')
})

it('watchBacklog() shows the newest beat of each role, also of one that is gone', async () => {
  const beats = [beat('emitter', 'e1', 4_000), beat('emitter', 'e2', 9_000), beat('server', 's1', 2_500)]
  const { value } = watch(async () => {}, beats)
  await vi.advanceTimersByTimeAsync(0)
  expect(await value('heartbeat_timestamp_seconds')).toContain('{role="emitter"} 9')
  expect(await value('heartbeat_timestamp_seconds')).toContain('{role="server"} 2.5')
  beats.splice(2)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await value('heartbeat_timestamp_seconds')).not.toContain('server')
})

it('watchBacklog() shows an unreachable broker as down, and later as up', async () => {
  let away = false
  const { value } = watch(async () => {
    if (away) throw new UnavailableError('broker_unreachable', 'away')
  })
  away = true
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await value('up')).toMatch(/ 0$/)
  expect(await value('backlog_events')).toMatch(/ 700$/)
  away = false
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await value('up')).toMatch(/ 1$/)
})

it('watchBacklog() shows a broker that hangs as down', async () => {
  const { value } = watch(() => new Promise(() => {}))
  await vi.advanceTimersByTimeAsync(5_500)
  expect(await value('up')).toMatch(/ 0$/)
})

it('watchBacklog() ends with its signal', async () => {
  const { broker, stop } = watch(async () => {})
  await vi.advanceTimersByTimeAsync(0)
  stop.abort()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(broker.ping).toHaveBeenCalledTimes(1)
})
