import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { decodePredictionBatch } from '../../src/event/prediction-wire.ts'
import { decodeEvents } from '../../src/event/wire.ts'
import { BACKENDS, openBackend } from '../support/broker-backends.ts'
import {
  expectedAzimuths,
  range,
  sorted,
  startConsuming,
  storedPredictions,
  untilDrained,
} from '../support/consuming.ts'
import { FaultyInferrer, onEvent, TestInferrer, withOdds } from '../support/faulty-inferrer.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { until } from '../support/until.ts'

/** Events 1 to `batches * events`, in batches `b0`, `b1` … */
async function publish(broker: Broker, batches: number, events: number): Promise<number[]> {
  for (let b = 0; b < batches; b++) {
    await broker.publish(toMessage(`b${b}`, makeEvents(events, 1 + b * events, { truth: true })))
  }
  return range(1, batches * events)
}

async function expectPredicted(broker: Broker, ids: Iterable<number>): Promise<void> {
  expect(sorted(await storedPredictions(broker))).toEqual(sorted(expectedAzimuths(ids)))
}

describe.each(BACKENDS)('consume() on %s', (backend) => {
  const open = async (t: TestContext): Promise<Broker> => (await openBackend(t, backend)).open()

  it('predicts every event exactly once and reports it', async (t) => {
    const broker = await open(t)
    const ids = await publish(broker, 40, 50)
    const inferrer = new TestInferrer(2)
    const { registry, stop } = startConsuming(t, { broker, inferrer })
    await untilDrained(broker)
    const report = await stop()
    await expectPredicted(broker, ids)
    expect(report).toMatchObject({ predicted: 2_000, deadLettered: 0, batches: 40, withTruth: 2_000 })
    expect(report.latencyMs.p99).toBeGreaterThan(0)
    expect(report.meanAngularErrorRad).toBeGreaterThan(0)
    expect(inferrer.underWayMax).toBe(4)
    expect(await broker.totals()).toEqual({ emitted: 2_000, predicted: 2_000, deadLettered: 0 })
    expect(await registry.getSingleMetricAsString('nustream_consumer_events_total')).toContain(
      '{outcome="predicted"} 2000',
    )
  })

  it('says who predicted what, and passes truth and pulse counts through', async (t) => {
    const broker = await open(t)
    const batch = makeEvents(3, 7, { truth: true, pulsesPerEvent: 9 })
    await broker.publish({ ...toMessage('b', batch), emittedAtMs: 1_763_935_200_000 })
    startConsuming(t, { broker, inferrer: new TestInferrer(), consumer: 'C7' })
    await untilDrained(broker)
    for await (const { payload } of broker.predictions({ signal: AbortSignal.timeout(10_000) })) {
      const stored = decodePredictionBatch(payload)
      expect(stored.origin).toMatchObject({
        batchId: 'b',
        model: 'test',
        modelVersion: '1',
        consumer: 'C7',
        emittedAtMs: 1_763_935_200_000,
      })
      expect(stored.truth).toEqual(batch.truth)
      expect(Array.from(stored.pulses)).toEqual([9, 9, 9])
      break
    }
  })

  it.each(['dies', 'fails', 'hangs'] as const)(
    'an event on which the model %s is a dead letter, its neighbours are predicted',
    async (fault) => {
      const t = { onTestFinished }
      const broker = await (await openBackend(t, backend)).open()
      const ids = await publish(broker, 4, 32)
      const inferrer = new FaultyInferrer(new TestInferrer(), onEvent(43, fault), { hangsMs: 100 })
      const { stop } = startConsuming(t, { broker, inferrer })
      await untilDrained(broker)
      expect(await stop()).toMatchObject({ predicted: 127, deadLettered: 1 })
      await expectPredicted(
        broker,
        ids.filter((id) => id !== 43),
      )
      const [letter] = await broker.deadLetters({ limit: 10 })
      expect(letter).toMatchObject({ eventId: 43n, code: 'model_failed', events: 1 })
      expect(Array.from(decodeEvents(letter.payload).batch.eventIds)).toEqual([43n])
    },
  )

  it('bytes of a foreign producer become one dead letter with those bytes, and the stream continues', async (t) => {
    const broker = await open(t)
    // pickle.dumps({'event_id': 24})
    const pickle = Buffer.from(
      '8004951100000000000000 7d948c086576656e745f6964944b18732e'.replaceAll(' ', ''),
      'hex',
    )
    await broker.publish({ batchId: 'foreign', payload: pickle, events: 0, emittedAtMs: 0 })
    const ids = await publish(broker, 2, 8)
    const { stop } = startConsuming(t, { broker, inferrer: new TestInferrer() })
    await untilDrained(broker)
    expect(await stop()).toMatchObject({ predicted: 16, deadLettered: 1 })
    await expectPredicted(broker, ids)
    const [letter] = await broker.deadLetters({ limit: 10 })
    expect(letter).toMatchObject({
      batchId: 'foreign',
      eventId: undefined,
      code: 'wire_unreadable',
      events: 1,
    })
    expect(Buffer.from(letter.payload)).toEqual(pickle)
  })

  it('a batch of 200,000 empty events delays neither the stream nor the end of the consumer', async (t) => {
    const broker = await open(t)
    const empty = makeEvents(0)
    const hostile = {
      ...empty,
      eventIds: BigInt64Array.from({ length: 200_000 }, (_, i) => BigInt(i)),
      offsets: new Int32Array(200_001),
    }
    await broker.publish(toMessage('hostile', hostile))
    const ids = await publish(broker, 2, 8)
    const { stop } = startConsuming(t, { broker, inferrer: new TestInferrer() })
    await untilDrained(broker, 10_000)
    expect(await stop()).toMatchObject({ predicted: 16, deadLettered: 200_000 })
    await expectPredicted(broker, ids)
    const [letter, ...others] = await broker.deadLetters({ limit: 10 })
    expect(others).toEqual([])
    expect(letter).toMatchObject({ code: 'batch_too_large', eventId: undefined, events: 200_000 })
  })

  it('every kind of bad event is a dead letter with its reason, its neighbours are predicted', async (t) => {
    const broker = await open(t)
    await broker.publish(toMessage('bad', withEveryFault()))
    const { stop } = startConsuming(t, { broker, inferrer: new TestInferrer() })
    await untilDrained(broker)
    expect(await stop()).toMatchObject({ predicted: 5, deadLettered: 7 })
    const letters = await broker.deadLetters({ limit: 20 })
    const codes = letters.map(({ eventId, code }): [number, string] => [Number(eventId), code])
    expect(codes.sort(([a], [b]) => a - b)).toEqual([
      [1, 'event_id_repeated'],
      [2, 'sensor_id_unknown'],
      [3, 'time_not_finite'],
      [4, 'charge_not_finite'],
      [5, 'charge_not_positive'],
      [6, 'auxiliary_not_boolean'],
      [7, 'event_without_pulses'],
    ])
    await expectPredicted(broker, [1, 9, 10, 11, 12])
  })

  it('an answer that is no number is a dead letter of that event', async (t) => {
    const broker = await open(t)
    await publish(broker, 1, 8)
    const inferrer = new FaultyInferrer(new TestInferrer(), () => 'nan')
    startConsuming(t, { broker, inferrer })
    await untilDrained(broker)
    await expectPredicted(broker, range(2, 8))
    const [letter] = await broker.deadLetters({ limit: 10 })
    expect(letter).toMatchObject({ eventId: 1n, code: 'model_output_invalid' })
  })

  it('a model that is unreachable for longer than the visibility timeout costs no event and no attempt', async (t) => {
    const broker = await open(t)
    const ids = await publish(broker, 12, 10)
    let away = true
    const inferrer = new FaultyInferrer(new TestInferrer(), () => (away ? 'away' : undefined))
    const { registry, stop } = startConsuming(t, { broker, inferrer })
    const since = performance.now()
    await until(() => performance.now() - since > 2_500, { what: 'two visibility timeouts' })
    expect(await broker.totals()).toMatchObject({ predicted: 0, deadLettered: 0 })
    away = false
    await untilDrained(broker)
    expect(await stop()).toMatchObject({ predicted: 120, deadLettered: 0 })
    await expectPredicted(broker, ids)
    expect(await registry.getSingleMetricAsString('nustream_consumer_redeliveries_total')).toMatch(/ 0$/)
    expect(await registry.getSingleMetricAsString('nustream_consumer_retries_total')).toMatch(
      /model_unreachable"} [1-9]/,
    )
  })

  it('a model that breaks at random costs no event', async (t) => {
    const broker = await open(t)
    const ids = await publish(broker, 20, 16)
    const plan = withOdds({ away: 0.2, dies: 0.1, fails: 0.1, hangs: 0.03 }, 20251123)
    const inferrer = new FaultyInferrer(new TestInferrer(), plan, { hangsMs: 50, tries: 6 })
    startConsuming(t, { broker, inferrer })
    await untilDrained(broker, 60_000)
    await expectPredicted(broker, ids)
  })

  it('two consumers share the batches', async (t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open()
    const ids = await publish(broker, 60, 10)
    const models = [new TestInferrer(), new TestInferrer()]
    for (const [i, inferrer] of models.entries()) {
      startConsuming(t, { broker: await opened.open(), inferrer, consumer: `C${i}` })
    }
    await untilDrained(broker)
    await expectPredicted(broker, ids)
    for (const { asked } of models) expect(asked.length).toBeGreaterThan(0)
  })

  it('stops in time when the model hangs, and gives back what it held unharmed', async (t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open()
    const ids = await publish(broker, 6, 10)
    const hanging = new FaultyInferrer(new TestInferrer(), () => 'hangs')
    const first = startConsuming(t, { broker, inferrer: hanging, shutdownMs: 300 })
    await until(() => hanging.calls === 4, { what: 'the model to be asked' })
    const since = performance.now()
    expect(await first.stop()).toMatchObject({ predicted: 0 })
    expect(performance.now() - since).toBeLessThan(5_000)

    const second = startConsuming(t, {
      broker: await opened.open(),
      inferrer: new TestInferrer(),
      consumer: 'C2',
    })
    await untilDrained(broker)
    await expectPredicted(broker, ids)
    expect(await second.registry.getSingleMetricAsString('nustream_consumer_redeliveries_total')).toMatch(
      / 0$/,
    )
  })

  it('stops at once while the model is unreachable, and returns its leases', async (t) => {
    const opened = await openBackend(t, backend)
    const broker = await opened.open({ visibilityMs: 60_000 })
    const ids = await publish(broker, 6, 10)
    const away = new FaultyInferrer(new TestInferrer(), () => 'away')
    const first = startConsuming(t, {
      broker,
      inferrer: away,
      backoff: { firstMs: 60_000 },
      shutdownMs: 60_000,
    })
    await until(() => away.calls >= 2)
    await first.stop()
    // Had it not been given back, it would come up after the visibility timeout of a minute.
    const inferrer = new TestInferrer()
    startConsuming(t, { broker: await opened.open({ visibilityMs: 60_000 }), inferrer, consumer: 'C2' })
    await untilDrained(broker)
    await expectPredicted(broker, ids)
  })

  it('an unknown error stops the consumer, and no event is lost by it', async (t) => {
    const broker = await open(t)
    const ids = await publish(broker, 6, 10)
    const broken = new FaultyInferrer(new TestInferrer(), onEvent(17, 'breaks'))
    await expect(startConsuming(t, { broker, inferrer: broken }).done).rejects.toThrow('x is not a function')
    startConsuming(t, { broker, inferrer: new TestInferrer(), consumer: 'C2' })
    await untilDrained(broker)
    await expectPredicted(broker, ids)
  })

  it('an event that stops every consumer is given up in the end, and its neighbours are predicted', async (t) => {
    const broker = await open(t)
    const ids = await publish(broker, 6, 10)
    let ends = 0
    for (; ends < 20; ends++) {
      const inferrer = new FaultyInferrer(new TestInferrer(), onEvent(17, 'breaks'))
      const { done, abort } = startConsuming(t, { broker, inferrer, attemptsMax: 2 })
      const drained = untilDrained(broker).then(abort, abort)
      const failed = await done.then(
        () => false,
        () => true,
      )
      if (!failed) {
        await drained
        break
      }
    }
    // One with the batch of ten, then two alone: --attempts-max more than the first.
    expect(ends).toBe(3)
    await expectPredicted(
      broker,
      ids.filter((id) => id !== 17),
    )
    const [letter, ...others] = await broker.deadLetters({ limit: 10 })
    expect(others).toEqual([])
    expect(letter).toMatchObject({
      eventId: 17n,
      code: 'attempts_exhausted',
      message: expect.stringContaining('x is not a function'),
    })
  })
})

/** Events 1 to 7 are bad, one kind each (1 by being repeated: its first occurrence is sound); 9 to 12 are sound. */
function withEveryFault(): EventBatch {
  const batch = makeEvents(12, 1)
  batch.eventIds[7] = 1n
  const pulse = (id: number): number => batch.offsets[id - 1] + 2
  batch.sensorIds[pulse(2)] = 5_160
  batch.times[pulse(3)] = Number.POSITIVE_INFINITY
  batch.charges[pulse(4)] = Number.NaN
  batch.charges[pulse(5)] = 0
  batch.auxiliary[pulse(6)] = 2
  // The pulses of event 7 go to event 8, which repeats the id of event 1.
  batch.offsets[7] = batch.offsets[6]
  return batch
}
