import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import {
  azimuthOf,
  type FaultPlan,
  FaultyInferrer,
  onEvent,
  TestInferrer,
} from '../../test/support/faulty-inferrer.ts'
import { makeEvents, toMessage } from '../../test/support/plain-events.ts'
import type { BatchMessage, Delivery, Settlement } from '../broker/contract.ts'
import { featuresOf } from '../drift/features.ts'
import { type DriftReference, makeReference } from '../drift/reference.ts'
import { UnavailableError } from '../errors.ts'
import type { EventBatch } from '../event/event-batch.ts'
import { decodePredictionBatch } from '../event/prediction-wire.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { NO_TRACER } from '../telemetry/tracing.ts'
import { consumerMetrics } from './metrics.ts'
import { BATCH_LIMITS, BatchProcessor, type ProcessorOptions } from './process-batch.ts'
import { ConsumeRecord } from './record.ts'
import { ConsumeTally, type SettledBatch } from './report.ts'

const NEVER = new AbortController().signal

/** A processor whose broker keeps what it is told. */
function start(
  inferrer: Inferrer,
  options: Partial<ProcessorOptions> & { result?: 'settled' | 'repeat' } = {},
) {
  const registry = new Registry()
  const tally = new ConsumeTally()
  const heard: SettledBatch[] = []
  const health: (string | undefined)[] = []
  const metrics = consumerMetrics(registry)
  const log = pino({ level: 'silent' })
  const record = new ConsumeRecord({
    inferrer,
    metrics,
    tally,
    log,
    onSettled: (batch) => heard.push(batch),
    onModelHealth: (problem) => void health.push(problem),
  })
  const settlements: Settlement[] = []
  const parts: BatchMessage[] = []
  const broker: ProcessorOptions['broker'] = {
    async settle(_delivery, settlement) {
      settlements.push(settlement)
      return options.result ?? 'settled'
    },
    async split(_delivery, messages) {
      parts.push(...messages)
      return 'settled'
    },
  }
  const processor = new BatchProcessor({
    broker,
    inferrer,
    consumer: 'C1',
    attemptsMax: 3,
    answerWithinMs: 60_000,
    backoff: { firstMs: 1, capMs: 5 },
    record,
    tracer: NO_TRACER,
    stopping: NEVER,
    giveUp: NEVER,
    ...options,
  })
  const value = async (name: string, labels: Record<string, string> = {}): Promise<number> => {
    const metric = await registry
      .getSingleMetric(`nustream_consumer_${name.replace(/_(sum|count)$/, '')}`)
      ?.get()
    const wanted = JSON.stringify(labels)
    const found = metric?.values.find((each) => {
      const isPart = !('metricName' in each) || each.metricName === `nustream_consumer_${name}`
      return isPart && JSON.stringify(each.labels) === wanted
    })
    return found?.value ?? Number.NaN
  }
  return { processor, record, settlements, parts, tally, heard, health, value }
}

function deliver(batch: EventBatch, given: Partial<Delivery> = {}): Delivery {
  return { ...toMessage('b1', batch), deliveryId: 'd1', partition: 0, attempt: 1, ...given }
}

function faulty(plan: FaultPlan): FaultyInferrer {
  return new FaultyInferrer(new TestInferrer(), plan)
}

it('a batch whose entry is at fault becomes one dead letter with all its events', async () => {
  const { processor, settlements } = start(new TestInferrer())
  const fault = { code: 'batch_id_invalid', message: 'batch_id is not UTF-8' } as const
  const delivery = deliver(makeEvents(4), { fault })
  await processor.process(delivery)
  expect(settlements).toMatchObject([{ predicted: 0, deadLetters: [{ ...fault, events: 4 }] }])
  expect(settlements[0].deadLetters[0].payload).toEqual(delivery.payload)
})

describe('how often consumers may end on a batch', () => {
  it.each([
    { attempt: 3, events: 4, becomes: 'predictions' },
    { attempt: 4, events: 4, becomes: 'parts' },
    { attempt: 6, events: 4, becomes: 'parts' },
    { attempt: 7, events: 4, becomes: 'one dead letter' },
    { attempt: 3, events: 1, becomes: 'predictions' },
    { attempt: 4, events: 1, becomes: 'one dead letter' },
  ])('delivery $attempt of $events events becomes $becomes where 3 are allowed', async (row) => {
    const { processor, settlements, parts } = start(new TestInferrer())
    await processor.process(deliver(makeEvents(row.events), { attempt: row.attempt }))
    if (row.becomes === 'parts') {
      expect(parts).toHaveLength(4)
      expect(settlements).toEqual([])
      return
    }
    const [{ predicted, deadLetters }] = settlements
    expect(parts).toEqual([])
    expect([predicted, deadLetters.length]).toEqual(row.becomes === 'predictions' ? [row.events, 0] : [0, 1])
    for (const { code, events, attempts, message } of deadLetters) {
      expect({ code, events, attempts }).toEqual({
        code: 'attempts_exhausted',
        events: row.events,
        attempts: row.attempt,
      })
      expect(message).toContain(`${row.attempt - 1} times`)
    }
  })

  it.each([
    { batchId: 'b1~0~0', becomes: 'parts' },
    { batchId: 'b1~0~0~0', becomes: 'a dead letter' },
  ])('an event alone in $batchId that ends a consumer becomes $becomes where 3 are allowed', async (row) => {
    const { processor, settlements, parts } = start(new TestInferrer())
    await processor.putBack(deliver(makeEvents(1), { batchId: row.batchId }), new Error('boom'))
    expect(parts.map(({ batchId }) => batchId)).toEqual(row.becomes === 'parts' ? [`${row.batchId}~0`] : [])
    expect(settlements.flatMap(({ deadLetters }) => deadLetters.map(({ message }) => message))).toEqual(
      row.becomes === 'parts' ? [] : ['consumers ended 4 times or more on this event: Error: boom'],
    )
  })
})

describe('what is counted', () => {
  it('times are in seconds', async () => {
    const { processor, value, heard, tally } = start(new TestInferrer())
    await processor.process(deliver(makeEvents(4), { emittedAtMs: Date.now() - 2_000 }))
    for (const name of ['latency_seconds_sum', 'queue_wait_seconds_sum']) {
      expect(await value(name)).toBeGreaterThanOrEqual(2)
      expect(await value(name)).toBeLessThan(60)
    }
    for (const name of ['decode', 'inference', 'settle']) {
      expect(await value(`${name}_seconds_count`)).toBe(1)
      expect(await value(`${name}_seconds_sum`)).toBeLessThan(60)
    }
    expect(heard[0].latencyMs).toBeGreaterThanOrEqual(2_000)
    expect(tally.report().latencyMs.p99).toBeGreaterThanOrEqual(1_950)
  })

  it('events are counted by event and dead letters by letter', async () => {
    const batch = makeEvents(100, 1, { truth: true })
    for (let event = 0; event < 70; event++) batch.charges[batch.offsets[event]] = Number.NaN
    const { processor, value, heard, settlements } = start(new TestInferrer())
    await processor.process(deliver(batch))
    expect(await value('events_total', { outcome: 'predicted' })).toBe(30)
    expect(await value('events_total', { outcome: 'dead_lettered' })).toBe(70)
    expect(await value('dead_letters_total', { code: 'charge_not_finite' })).toBe(1)
    expect(settlements[0].deadLetters).toHaveLength(1)
    expect(heard[0]).toMatchObject({ predicted: 30, deadLettered: 70 })
  })

  it('a batch that had been settled before is counted as repeated, and nowhere else', async () => {
    const events = makeEvents(400)
    const reference: DriftReference = makeReference(featuresOf(events), 'test')
    const inferrer = Object.assign(new TestInferrer(), { reference })
    const repeat = start(inferrer, { result: 'repeat' })
    await repeat.processor.process(deliver(events))
    expect(await repeat.value('events_total', { outcome: 'repeated' })).toBe(400)
    expect(await repeat.value('events_total', { outcome: 'predicted' })).toBe(0)
    expect(await repeat.value('drift_events')).toBe(0)
    expect(await repeat.value('latency_seconds_count')).toBe(0)
    expect(repeat.heard).toEqual([])
    const first = start(inferrer)
    await first.processor.process(deliver(events))
    expect(await first.value('drift_events')).toBe(400)
  })

  it('an unreachable model is called again and counted by reason', async () => {
    const { processor, value, settlements, health } = start(
      faulty((_, call) => (call < 5 ? 'away' : undefined)),
    )
    await processor.process(deliver(makeEvents(3)))
    expect(settlements[0].predicted).toBe(3)
    expect(await value('retries_total', { reason: 'model_unreachable' })).toBe(5)
    expect(await value('inference_seconds_count')).toBe(6)
    expect(await value('model_up')).toBe(1)
    expect(health).toEqual(['connection refused', undefined])
  })

  it('the model is up by its calls, and by checks where no call has failed', async () => {
    const { record, value, health } = start(new TestInferrer())
    record.modelChecked(undefined)
    expect(await value('model_up')).toBe(1)
    record.modelChecked(new Error('not ready'))
    expect(await value('model_up')).toBe(0)
    record.modelChecked(undefined)
    expect(await value('model_up')).toBe(1)
    record.retried('model_overloaded', new UnavailableError('model_overloaded', 'full'))
    record.modelChecked(undefined)
    expect(await value('model_up')).toBe(0)
    record.answered()
    expect(await value('model_up')).toBe(1)
    expect(health).toEqual(['not ready', undefined, 'full', undefined])
  })

  it('a call of the model that fails on some events is counted by reason', async () => {
    const { processor, value, settlements } = start(faulty(onEvent(2, 'fails')))
    await processor.process(deliver(makeEvents(2)))
    expect(settlements[0]).toMatchObject({
      predicted: 1,
      deadLetters: [{ eventId: 2n, code: 'model_failed' }],
    })
    expect(await value('retries_total', { reason: 'model_failed' })).toBe(6)
  })
})

describe('BatchProcessor', () => {
  it('asks again a model that never answers, after its time', async () => {
    let calls = 0
    const inner = new TestInferrer()
    const inferrer = Object.assign(new TestInferrer(), {
      infer: (batch: EventBatch) => (calls++ === 0 ? new Promise<never>(() => {}) : inner.infer(batch)),
    })
    const { processor, value, settlements } = start(inferrer, { answerWithinMs: 20 })
    await processor.process(deliver(makeEvents(3)))
    expect(settlements[0].predicted).toBe(3)
    expect(await value('retries_total', { reason: 'model_timeout' })).toBe(1)
  })

  it('stores the direction of each sound event beside the dead letters of the others', async () => {
    const batch = makeEvents(6)
    batch.charges[batch.offsets[1]] = Number.NaN
    const { processor, settlements } = start(faulty(onEvent(5, 'nan')))
    await processor.process(deliver(batch))
    const [{ predictions, deadLetters }] = settlements
    const stored = decodePredictionBatch(predictions ?? new Uint8Array())
    const kept = Array.from(stored.eventIds, Number)
    expect(deadLetters.map(({ eventId, code }) => [Number(eventId), code])).toEqual([
      [2, 'charge_not_finite'],
      [1, 'model_output_invalid'],
    ])
    expect(kept).toEqual([3, 4, 5, 6])
    expect(Array.from(stored.azimuth)).toEqual(kept.map(azimuthOf))
  })

  it('asks no model about a batch without a sound event', async () => {
    const batch = makeEvents(2)
    batch.charges.fill(-1)
    const inferrer = new TestInferrer()
    const { processor, settlements } = start(inferrer)
    await processor.process(deliver(batch))
    expect(inferrer.asked).toEqual([])
    expect(settlements[0]).toMatchObject({ predictions: undefined, predicted: 0 })
    expect(settlements[0].deadLetters).toHaveLength(2)
  })

  it('stops waiting for an unreachable model when the consumer stops', async () => {
    const stop = new AbortController()
    const inferrer = faulty(() => 'away')
    const { processor } = start(inferrer, { stopping: stop.signal, backoff: { firstMs: 60_000 } })
    const done = processor.process(deliver(makeEvents(2)))
    setTimeout(() => stop.abort(), 10)
    await expect(done).rejects.toMatchObject({ code: 'model_unreachable' })
  })

  it('drops a call under way when the consumer gives up', async () => {
    const stop = new AbortController()
    const { processor } = start(
      faulty(() => 'hangs'),
      { giveUp: stop.signal },
    )
    const done = processor.process(deliver(makeEvents(2)))
    setTimeout(() => stop.abort(new Error('gave up')), 10)
    await expect(done).rejects.toThrow('gave up')
  })

  it('throws errors that it does not know, and answers of the wrong length', async () => {
    await expect(start(faulty(() => 'breaks')).processor.process(deliver(makeEvents(2)))).rejects.toThrow(
      TypeError,
    )
    const inner = new TestInferrer()
    const short = Object.assign(new TestInferrer(), { infer: () => inner.infer(makeEvents(3)) })
    await expect(start(short).processor.process(deliver(makeEvents(4)))).rejects.toThrow(
      '3 values of azimuth for 4',
    )
  })
})

describe('a batch of hostile size', () => {
  const limit = BATCH_LIMITS.eventsMax

  it.each([
    { events: limit, code: 'event_without_pulses' },
    { events: limit + 1, code: 'batch_too_large' },
    { events: 200_000, code: 'batch_too_large' },
  ])(
    'of $events empty events is one dead letter $code, in less than two seconds of processor time',
    async ({ events, code }) => {
      const { processor, settlements, value } = start(new TestInferrer())
      const delivery = deliver(emptyEvents(events))
      const before = process.cpuUsage()
      await processor.process(delivery)
      const { user, system } = process.cpuUsage(before)
      expect((user + system) / 1e6).toBeLessThan(2)
      expect(settlements[0].deadLetters).toMatchObject([{ code, events, eventId: undefined }])
      expect(await value('events_total', { outcome: 'dead_lettered' })).toBe(events)
    },
  )

  it('of more than 64 MiB is one dead letter', async () => {
    const { processor, settlements } = start(new TestInferrer())
    const payload = new Uint8Array(BATCH_LIMITS.bytesMax + 1)
    await processor.process({ ...deliver(makeEvents(1)), payload, events: 0 })
    expect(settlements[0].deadLetters).toMatchObject([{ code: 'batch_too_large', events: 1 }])
  })
})

function emptyEvents(events: number): EventBatch {
  const { sensorIds, times, charges, auxiliary } = makeEvents(0)
  return {
    eventIds: BigInt64Array.from({ length: events }, (_, i) => BigInt(i)),
    offsets: new Int32Array(events + 1),
    sensorIds,
    times,
    charges,
    auxiliary,
  }
}
