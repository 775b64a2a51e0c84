import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import { describe, expect, it, type TestContext } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import { featuresOf } from '../../src/drift/features.ts'
import { type DriftReference, makeReference } from '../../src/drift/reference.ts'
import { type EventBatch, sliceEvents } from '../../src/event/event-batch.ts'
import type { Inferrer } from '../../src/inference/inferrer.ts'
import { openLocalModel } from '../../src/inference/network/local.ts'
import { openHttpInferrer } from '../../src/inference/remote/http.ts'
import { buildServer, listenServer } from '../../src/server/server.ts'
import { simulateEvents } from '../../src/simulator/simulate.ts'
import { openBackend } from '../support/broker-backends.ts'
import { startConsuming, untilDrained } from '../support/consuming.ts'
import { fakeModel } from '../support/fake-model.ts'
import { TestInferrer } from '../support/faulty-inferrer.ts'
import { startNustream } from '../support/nustream.ts'
import { toMessage } from '../support/plain-events.ts'

const trained = simulateEvents(1, 0, 1200)
const reference = makeReference(featuresOf(trained), 'seed 1')
const others = simulateEvents(2, 0, 600)

function withReference(
  given: DriftReference | undefined,
): Inferrer & { reference: DriftReference | undefined } {
  return Object.assign(new TestInferrer(), { reference: given })
}

let published = 0

async function publish(broker: Broker, events: EventBatch): Promise<void> {
  for (let at = 0; at < events.eventIds.length; at += 100) {
    await broker.publish(toMessage(`b${published++}`, sliceEvents(events, at, at + 100)))
  }
  await untilDrained(broker)
}

/** Value of the metric for each feature; those without a sample are missing. */
async function indices(registry: Registry): Promise<Record<string, number>> {
  const metric = await registry.getSingleMetric('nustream_consumer_drift_psi')?.get()
  return Object.fromEntries(metric?.values.map(({ labels, value }) => [labels['feature'], value]) ?? [])
}

async function windowEvents(registry: Registry): Promise<number | undefined> {
  return (await registry.getSingleMetric('nustream_consumer_drift_events')?.get())?.values[0].value
}

describe('the drift of a stream', () => {
  const open = async (t: TestContext) => (await openBackend(t, 'sqlite')).open()

  it('is small where events are as in training, and seen in the feature that has moved', async (t) => {
    const broker = await open(t)
    const { registry } = startConsuming(t, { broker, inferrer: withReference(reference) })
    await publish(broker, others)
    const before = await indices(registry)
    expect(Object.keys(before).sort()).toEqual(['auxiliary', 'charge', 'pulses'])
    for (const index of Object.values(before)) expect(index).toBeLessThan(0.1)
    expect(await windowEvents(registry)).toBe(600)
    const auxiliary = new Uint8Array(others.auxiliary.length).fill(1)
    await publish(broker, { ...others, auxiliary })
    const after = await indices(registry)
    expect(after['auxiliary']).toBeGreaterThan(0.25)
    expect(after['charge']).toBeLessThan(0.1)
    expect(after['pulses']).toBeLessThan(0.1)
    expect(await windowEvents(registry)).toBe(1200)
  })

  it('is measured against what nustream models reference wrote into the manifest', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'nustream-drift-'))
    t.onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    cpSync('models/linefit-onnx', folder, { recursive: true })
    const made = startNustream(
      ['models', 'reference', '--data', 'sim:1', '--events', '1200', '--model', folder],
      t,
    )
    expect(await made.ended, made.stderr()).toBe(0)
    const inferrer = await openLocalModel(folder, { threads: 1 })
    t.onTestFinished(() => inferrer[Symbol.asyncDispose]())
    expect(inferrer.reference).toEqual({ ...reference, data: 'sim:1' })
    const broker = await open(t)
    const { registry } = startConsuming(t, { broker, inferrer })
    await publish(broker, others)
    for (const index of Object.values(await indices(registry))) expect(index).toBeLessThan(0.1)
    await publish(broker, { ...others, charges: others.charges.map((charge) => 1.5 * charge) })
    const after = await indices(registry)
    expect(after['charge']).toBeGreaterThan(0.25)
    expect(after['pulses']).toBeLessThan(0.1)
  })

  it('has no series before there are enough events, nor without a reference', async (t) => {
    const broker = await open(t)
    const inferrer = withReference(reference)
    const { registry } = startConsuming(t, { broker, inferrer })
    await publish(broker, sliceEvents(others, 0, 200))
    expect(await indices(registry)).toEqual({})
    await publish(broker, sliceEvents(others, 200, 300))
    expect(Object.keys(await indices(registry))).toHaveLength(3)
    inferrer.reference = undefined
    await publish(broker, sliceEvents(others, 300, 400))
    expect(await indices(registry)).toEqual({})
    expect(await windowEvents(registry)).toBe(0)
  })

  it('restarts with a model that has another reference', async (t) => {
    const broker = await open(t)
    const inferrer = withReference(reference)
    const { registry } = startConsuming(t, { broker, inferrer })
    await publish(broker, others)
    inferrer.reference = { ...reference, pulses: { edges: [0, 1000, 2000], shares: [0.5, 0.5] } }
    await publish(broker, sliceEvents(others, 0, 300))
    expect(await windowEvents(registry)).toBe(300)
    expect((await indices(registry))['pulses']).toBeGreaterThan(0.25)
  })

  it('is seen too where the model is served elsewhere', async (t) => {
    const model = { ...fakeModel(), reference }
    const server = buildServer({ model, registry: new Registry(), log: pino({ level: 'silent' }) })
    t.onTestFinished(() => server.close())
    const { url } = await listenServer(server, { host: '127.0.0.1', port: 0 })
    const inferrer = await openHttpInferrer(url)
    t.onTestFinished(() => inferrer[Symbol.asyncDispose]())
    expect(inferrer.reference).toEqual(reference)
    const plain = await (await fetch(`${url}/model`)).json()
    expect(plain).toEqual({ name: 'fake', version: '7', reference })
  })
})
