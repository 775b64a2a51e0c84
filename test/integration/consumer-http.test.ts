import { describe, expect, it, type TestContext } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import type { Inferrer } from '../../src/inference/inferrer.ts'
import { openHttpInferrer } from '../../src/inference/remote/http.ts'
import { openBackend } from '../support/broker-backends.ts'
import {
  expectedAzimuths,
  range,
  sorted,
  startConsuming,
  storedPredictions,
  untilDrained,
} from '../support/consuming.ts'
import { FaultyInferrer, onEvent, TestInferrer } from '../support/faulty-inferrer.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { startServer } from '../support/start-server.ts'
import { until } from '../support/until.ts'

async function open(t: TestContext): Promise<{ broker: Broker; ids: number[] }> {
  const broker = await (await openBackend(t, 'sqlite')).open()
  for (let b = 0; b < 20; b++) await broker.publish(toMessage(`b${b}`, makeEvents(10, 1 + b * 10)))
  return { broker, ids: range(1, 200) }
}

async function ask(t: TestContext, url: string): Promise<Inferrer> {
  const inferrer = await openHttpInferrer(url, { timeoutMs: 500 })
  t.onTestFinished(async () => void (await inferrer[Symbol.asyncDispose]()))
  return inferrer
}

describe('consume() over HTTP', () => {
  it('predicts every event, and knows the model of the server', async (t) => {
    const { broker, ids } = await open(t)
    const { url } = await startServer(t, { model: new TestInferrer() })
    const { registry } = startConsuming(t, { broker, inferrer: await ask(t, url) })
    await untilDrained(broker)
    expect(sorted(await storedPredictions(broker))).toEqual(sorted(expectedAzimuths(ids)))
    const info = await registry.getSingleMetricAsString('nustream_consumer_model_info')
    expect(info).toContain('model="test",version="1"')
  })

  it('a restart of the model server costs no event', async (t) => {
    const { broker, ids } = await open(t)
    const model = new TestInferrer()
    const first = await startServer(t, { model })
    const inferrer = await ask(t, first.url)
    await first.close()
    const { stop } = startConsuming(t, { broker, inferrer })
    const since = performance.now()
    await until(() => performance.now() - since > 1_500, { what: 'longer than the visibility timeout' })
    expect(await broker.totals()).toMatchObject({ predicted: 0, deadLettered: 0 })
    await startServer(t, { model, port: first.port })
    await untilDrained(broker)
    expect(await stop()).toMatchObject({ predicted: 200, deadLettered: 0 })
    expect(sorted(await storedPredictions(broker))).toEqual(sorted(expectedAzimuths(ids)))
  })

  it('a model server that hangs for a while costs no event', async (t) => {
    const { broker, ids } = await open(t)
    let hangs = true
    const model = new FaultyInferrer(new TestInferrer(), () => (hangs ? 'hangs' : undefined))
    const { url } = await startServer(t, { model })
    const { registry } = startConsuming(t, { broker, inferrer: await ask(t, url) })
    const retries = async () => registry.getSingleMetricAsString('nustream_consumer_retries_total')
    await until(async () => /reason="model_unreachable"} [1-9]/.test(await retries()))
    hangs = false
    await untilDrained(broker)
    expect(sorted(await storedPredictions(broker))).toEqual(sorted(expectedAzimuths(ids)))
  })

  it('an event on which the served model fails is a dead letter, its neighbours are predicted', async (t) => {
    const { broker, ids } = await open(t)
    const model = new FaultyInferrer(new TestInferrer(), onEvent(43, 'fails'))
    const { url } = await startServer(t, { model })
    startConsuming(t, { broker, inferrer: await ask(t, url) })
    await untilDrained(broker)
    expect(sorted(await storedPredictions(broker))).toEqual(
      sorted(expectedAzimuths(ids.filter((id) => id !== 43))),
    )
    const letters = await broker.deadLetters({ limit: 10 })
    expect(letters.map(({ eventId, code }) => [eventId, code])).toEqual([[43n, 'model_failed']])
  })
})
