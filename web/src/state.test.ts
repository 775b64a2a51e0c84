import { describe, expect, it } from 'vitest'
import type { Health, Snapshot, Strip } from '../../src/display/messages.ts'
import { exampleEvent } from './example-events.ts'
import { DRAWN_MAX, EMPTY_STATE, type StreamMessage, withMessage, withSnapshot } from './state.ts'

const HEALTH: Health = { atMs: 1_000, brokerUp: true, parts: [] }

function exampleStrip(atMs: number, predicted = 0): Strip {
  return {
    atMs,
    eventsPerSecond: 10,
    emittedPerSecond: 10,
    lag: { events: 0, batches: 0, oldestAgeMs: 0 },
    latencyMs: null,
    meanAngularErrorRad: null,
    account: { emitted: predicted, predicted, deadLettered: 0, waiting: 0 },
    watched: { latencyMs: null, meanAngularErrorRad: null, predictions: 0, skippedBatches: 0 },
  }
}

function snapshotOf(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    service: 'a',
    atMs: 5_000,
    settings: { ...EMPTY_STATE.settings, eventsMax: 3, skyMax: 4, stripsMax: 3 },
    events: [],
    newest: null,
    sky: EMPTY_STATE.sky,
    strips: [],
    health: HEALTH,
    deadLetters: { newest: [] },
    ...changes,
  }
}

const loaded = withSnapshot(EMPTY_STATE, snapshotOf(), { since: [], nowMs: 5_000 })

function skyMessage(count: number, utc = false): StreamMessage {
  const column = Array.from({ length: count }, (_, i) => i)
  const data = {
    azimuth: column,
    zenith: column,
    kappa: column,
    predictedAtMs: column,
    key: column.map(() => null),
  }
  return { name: 'sky', data: utc ? { ...data, utcMs: column } : data }
}

function rowOf(key: string) {
  const { pulses: _, ...row } = exampleEvent({ key })
  return row
}

describe('withMessage()', () => {
  it('keeps the newest events, each once, within the window of the service', () => {
    const keys = ['1', '2', '1', '3', '4']
    const messages = keys.map((key): StreamMessage => ({ name: 'event', data: exampleEvent({ key }) }))
    const state = messages.reduce(withMessage, loaded)
    expect(state.events.map(({ key }) => key)).toEqual(['1', '3', '4'])
    expect(state.events.every((row) => !('pulses' in row))).toBe(true)
  })

  it('keeps a few events with their pulses', () => {
    const many = Array.from({ length: DRAWN_MAX + 5 }, (_, i): StreamMessage => {
      return { name: 'event', data: exampleEvent({ key: `${i}` }) }
    })
    expect(many.reduce(withMessage, loaded).drawn).toHaveLength(DRAWN_MAX)
  })

  it('keeps the newest points of the sky in all columns', () => {
    const { sky } = [skyMessage(3), skyMessage(3)].reduce(withMessage, loaded)
    for (const column of [sky.azimuth, sky.zenith, sky.kappa, sky.predictedAtMs, sky.key])
      expect(column).toHaveLength(4)
    expect(sky.azimuth).toEqual([2, 0, 1, 2])
  })

  it('has UTC of the sky only if every point has it', () => {
    expect(withMessage(loaded, skyMessage(2, true)).sky.utcMs).toHaveLength(2)
    expect([skyMessage(2, true), skyMessage(1)].reduce(withMessage, loaded).sky.utcMs).toBeUndefined()
  })

  it('adds figures once and in order', () => {
    const messages = [1, 2, 2, 3, 1, 4].map(
      (atMs): StreamMessage => ({ name: 'strip', data: exampleStrip(atMs) }),
    )
    expect(messages.reduce(withMessage, loaded).strips.map(({ atMs }) => atMs)).toEqual([2, 3, 4])
  })

  it('adds up the skipped messages', () => {
    const message: StreamMessage = { name: 'dropped', data: { messages: 4, total: 4 } }
    expect([message, message].reduce(withMessage, loaded).droppedMessages).toBe(8)
  })
})

describe('withSnapshot()', () => {
  it('replaces the whole state and makes it live', () => {
    expect(loaded).toMatchObject({ connection: 'live', isLoaded: true, service: 'a' })
  })

  it('measures the offset of the clock of the service', () => {
    const state = withSnapshot(EMPTY_STATE, snapshotOf({ atMs: 9_000 }), { since: [], nowMs: 5_000 })
    expect(state.clockAheadMs).toBe(4_000)
  })

  it('counts no message twice that arrived together with the snapshot', () => {
    const newest = exampleEvent({ key: '2' })
    const snapshot = snapshotOf({
      events: [rowOf('1'), rowOf('2')],
      newest,
      strips: [exampleStrip(10), exampleStrip(20)],
      sky: { azimuth: [1], zenith: [1], kappa: [null], predictedAtMs: [50], key: [null] },
    })
    const since: StreamMessage[] = [
      { name: 'event', data: newest },
      { name: 'event', data: exampleEvent({ key: '3' }) },
      { name: 'strip', data: exampleStrip(20) },
      { name: 'strip', data: exampleStrip(30) },
      { name: 'sky', data: { azimuth: [1], zenith: [1], kappa: [null], predictedAtMs: [50], key: [null] } },
      { name: 'sky', data: { azimuth: [2], zenith: [2], kappa: [null], predictedAtMs: [51], key: [null] } },
      { name: 'health', data: { ...HEALTH, atMs: 900 } },
    ]
    const state = withSnapshot(EMPTY_STATE, snapshot, { since, nowMs: 0 })
    expect(state.events.map(({ key }) => key)).toEqual(['1', '2', '3'])
    expect(state.drawn.map(({ key }) => key)).toEqual(['2', '3'])
    expect(state.strips.map(({ atMs }) => atMs)).toEqual([10, 20, 30])
    expect(state.sky.azimuth).toEqual([1, 2])
    expect(state.health.atMs).toBe(1_000)
  })

  it('forgets events that a restarted service does not know', () => {
    const before = withMessage(loaded, { name: 'event', data: exampleEvent({ key: '1' }) })
    const state = withSnapshot(before, snapshotOf({ service: 'b' }), { since: [], nowMs: 0 })
    expect(state.events).toEqual([])
    expect(state.drawn).toEqual([])
  })
})
