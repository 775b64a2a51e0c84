import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { emitterMetrics, type Published } from './metrics.ts'

const BATCH: Published = {
  events: 256,
  pulses: 10_000,
  rejected: [],
  seconds: 0.01,
  position: { run: 'r', sequence: 7, resume: '', emitted: 1792, done: false },
}

async function gaugeOf(registry: Registry, name: string): Promise<number | undefined> {
  const found = await registry.getSingleMetric(name)?.get()
  return found?.values[0]?.value
}

describe('emitterMetrics()', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'Date'] }))
  afterEach(() => void vi.useRealTimers())

  it('computes the delay when it is scraped: it grows while a batch waits, and a quiet source is not behind', async () => {
    const registry = new Registry()
    const metrics = emitterMetrics(registry)
    const behind = () => gaugeOf(registry, 'nustream_emitter_behind_seconds')
    expect(await behind()).toBe(0)
    metrics.waiting(performance.now() + 500)
    expect(await behind()).toBe(0)
    vi.advanceTimersByTime(1_500)
    expect(await behind()).toBeCloseTo(1, 6)
    vi.advanceTimersByTime(60_000)
    expect(await behind()).toBeCloseTo(61, 6)
    metrics.published(BATCH)
    vi.advanceTimersByTime(9_000)
    expect(await behind()).toBeCloseTo(61, 6)
    vi.advanceTimersByTime(1_001)
    expect(await behind()).toBe(0)
  })

  it('says when an event was last published, and how long the source may be quiet until it has ended', async () => {
    const registry = new Registry()
    const metrics = emitterMetrics(registry, 300)
    const startSeconds = Date.now() / 1000
    const last = () => gaugeOf(registry, 'nustream_emitter_last_event_timestamp_seconds')
    expect(await last()).toBeCloseTo(startSeconds, 3)
    vi.advanceTimersByTime(5_000)
    metrics.published({ ...BATCH, events: 0 })
    expect(await last()).toBeCloseTo(startSeconds, 3)
    metrics.published(BATCH)
    expect(await last()).toBeCloseTo(startSeconds + 5, 3)
    expect(await gaugeOf(registry, 'nustream_emitter_quiet_max_seconds')).toBe(300)
    metrics.ended()
    expect(await gaugeOf(registry, 'nustream_emitter_quiet_max_seconds')).toBe(0)
  })
})
