import { describe, expect, it, type TestContext } from 'vitest'
import type { Broker } from '../../src/broker/contract.ts'
import { openTracer } from '../../src/cli/role.ts'
import { emit } from '../../src/emitter/emit.ts'
import { openHttpInferrer } from '../../src/inference/remote/http.ts'
import { NO_TRACER, type Tracer } from '../../src/telemetry/tracing.ts'
import { BACKENDS, openBackend } from '../support/broker-backends.ts'
import { startConsuming, untilDrained } from '../support/consuming.ts'
import { listSource } from '../support/list-source.ts'
import { collectLog } from '../support/log-lines.ts'
import { startNustream } from '../support/nustream.ts'
import { attributeOf, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { makeEvents, toMessage } from '../support/plain-events.ts'
import { startServer } from '../support/start-server.ts'
import { until } from '../support/until.ts'

const PRODUCER = 4
const CONSUMER = 5
const SERVER = 2
const CLIENT = 3

describe.for(BACKENDS)('a trace over %s', (backend) => {
  it('leads from the emitter through broker and consumer to the model server', async (t) => {
    const { url, spans } = await startOtlpReceiver(t)
    const broker = await (await openBackend(t, backend)).open()
    const tracers = await Promise.all(['emitter', 'consumer', 'server'].map((role) => tracer(role, url)))
    const [emitting, consuming, serving] = tracers
    await stream(t, broker, { emitting, consuming, serving }, { events: 60, batchEvents: 20 })
    await Promise.all(tracers.map((tracer) => tracer[Symbol.asyncDispose]()))

    await until(() => spans.length >= 3 * 6, { what: 'six spans of each batch' })
    const published = named(spans, 'emit.publish')
    expect(published.map((span) => attributeOf(span.attributes, 'nustream.batch_id')).toSorted()).toEqual([
      'r:1',
      'r:2',
      'r:3',
    ])
    expect(new Set(published.map(({ traceId }) => traceId)).size).toBe(3)
    for (const publish of published) {
      const trace = spans.filter(({ traceId }) => traceId === publish.traceId)
      const [read, consume, predict, serve, settle] = [
        'emit.read',
        'consume.batch',
        'predict',
        'POST /predict',
        'settle',
      ].map((name) => only(trace, name))
      expect(read.parentSpanId ?? '').toBe('')
      expect(publish).toMatchObject({
        service: 'nustream-emitter',
        kind: PRODUCER,
        parentSpanId: read.spanId,
      })
      expect(consume).toMatchObject({
        service: 'nustream-consumer',
        kind: CONSUMER,
        parentSpanId: publish.spanId,
      })
      expect(consume.links).toMatchObject([{ traceId: publish.traceId, spanId: publish.spanId }])
      expect(predict).toMatchObject({
        service: 'nustream-consumer',
        kind: CLIENT,
        parentSpanId: consume.spanId,
      })
      expect(serve).toMatchObject({ service: 'nustream-server', kind: SERVER, parentSpanId: predict.spanId })
      expect(settle).toMatchObject({ service: 'nustream-consumer', parentSpanId: consume.spanId })
      const batchId = attributeOf(publish.attributes, 'nustream.batch_id')
      for (const [span, operation] of [
        [publish, 'send'],
        [consume, 'process'],
        [settle, 'settle'],
      ] as const) {
        expect(attributeOf(span.attributes, 'messaging.operation.type')).toBe(operation)
        expect(attributeOf(span.attributes, 'messaging.message.id')).toBe(batchId)
      }
      expect(attributeOf(serve.attributes, 'http.response.status_code')).toSatisfy(
        (code) => Number(code) === 200,
      )
      for (const span of trace)
        expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano))
      expect(BigInt(consume.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(publish.startTimeUnixNano))
      expect(BigInt(serve.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(predict.startTimeUnixNano))
      // Starts are known to the millisecond.
      expect(BigInt(settle.startTimeUnixNano) + 1_000_000n).toBeGreaterThan(BigInt(predict.endTimeUnixNano))
    }
  })

  it('continues through a process that records no spans', async (t) => {
    const { url, spans } = await startOtlpReceiver(t)
    const broker = await (await openBackend(t, backend)).open()
    const [emitting, serving] = await Promise.all([tracer('emitter', url), tracer('server', url)])
    await stream(t, broker, { emitting, consuming: NO_TRACER, serving }, { events: 5, batchEvents: 5 })
    await Promise.all([emitting, serving].map((tracer) => tracer[Symbol.asyncDispose]()))
    expect(only(spans, 'POST /predict').parentSpanId).toBe(only(spans, 'emit.publish').spanId)
  })
})

describe('tracing', () => {
  it('keeps the share of traces that is asked for, each as a whole', async (t) => {
    const { url, spans } = await startOtlpReceiver(t)
    const broker = await (await openBackend(t, 'sqlite')).open()
    const [emitting, consuming] = [await tracer('emitter', url, 0.5), await tracer('consumer', url, 1)]
    await stream(t, broker, { emitting, consuming, serving: NO_TRACER }, { events: 400, batchEvents: 4 })
    await Promise.all([emitting, consuming].map((tracer) => tracer[Symbol.asyncDispose]()))
    const published = named(spans, 'emit.publish').map(({ traceId }) => traceId)
    // 100 coins: fewer than 20 or more than 80 heads come once in 10^9 runs.
    expect(published.length).toBeGreaterThan(20)
    expect(published.length).toBeLessThan(80)
    expect(
      named(spans, 'consume.batch')
        .map(({ traceId }) => traceId)
        .toSorted(),
    ).toEqual(published.toSorted())
  })

  it('tells of a batch that no model could answer', async (t) => {
    const { url, spans } = await startOtlpReceiver(t)
    const broker = await (await openBackend(t, 'sqlite')).open()
    const consuming = await tracer('consumer', url)
    const inferrer = await openHttpInferrer('http://127.0.0.1:1', { timeoutMs: 500 })
    t.onTestFinished(() => inferrer[Symbol.asyncDispose]())
    const consumer = startConsuming(t, { broker, inferrer, tracer: consuming })
    await broker.publish({ ...toMessage('b1', makeEvents(3)), traceparent: 'not a traceparent' })
    await until(() => named(spans, 'predict').length > 0, { withinMs: 20_000 })
    await consumer.stop()
    await consuming[Symbol.asyncDispose]()
    const [predict] = named(spans, 'predict')
    expect(predict.status).toMatchObject({ code: 2, message: /cannot be reached/ })
    // What is no traceparent begins a trace.
    expect(only(spans, 'consume.batch').parentSpanId ?? '').toBe('')
  })

  it.for(['away', 'silent'] as const)(
    'never holds up the stream for a collector that is %s',
    async (how, t) => {
      const { url } =
        how === 'away' ? { url: 'http://127.0.0.1:1' } : await startOtlpReceiver(t, { silent: true })
      const { log, lines } = collectLog()
      const broker = await (await openBackend(t, 'sqlite')).open()
      const emitting = await openTracer({ url, role: 'emitter', instance: 'e', version: '1', log })
      // Many more spans than the queue holds.
      for (let i = 0; i < 20_000; i++) emitting.start('flood').end()
      const parts = { emitting, consuming: emitting, serving: emitting }
      const report = await stream(t, broker, parts, { events: 200, batchEvents: 10 })
      expect(report).toMatchObject({ ended: 'done', emitted: 200 })
      expect(await broker.totals()).toMatchObject({ emitted: 200, predicted: 200 })
      const startMs = performance.now()
      await emitting[Symbol.asyncDispose]()
      expect(performance.now() - startMs).toBeLessThan(10_000)
      if (how === 'away')
        expect(lines.filter((line) => line.includes('the collector does not take traces')).length).toBe(1)
    },
  )

  it('is off by default, and on for a whole process with OTEL_EXPORTER_OTLP_ENDPOINT', async (t) => {
    const { url, spans } = await startOtlpReceiver(t)
    const up = ['up', '--events', '40', '--batch', '20', '--headless', '--port', '0', '--log-level', 'silent']
    const off = startNustream(up, t, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: '' } })
    expect(await off.ended, off.stderr()).toBe(0)
    expect(spans.length).toBe(0)
    const on = startNustream(up, t, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: url } })
    expect(await on.ended, on.stderr()).toBe(0)
    expect(named(spans, 'settle').length).toBe(2)
    expect(new Set(spans.map(({ service }) => service))).toEqual(new Set(['nustream-up']))
    await expect(
      openTracer({ url: 'collector', role: 'x', instance: 'x', version: '1' }),
    ).rejects.toMatchObject({
      code: 'flag_invalid',
    })
  })
})

interface Tracers {
  readonly emitting: Tracer
  readonly consuming: Tracer
  readonly serving: Tracer
}

/** Emits, consumes and serves in this process, each part with its own tracer. */
async function stream(
  t: TestContext,
  broker: Broker,
  { emitting, consuming, serving }: Tracers,
  { events, batchEvents }: { readonly events: number; readonly batchEvents: number },
) {
  const server = await startServer(t, { tracer: serving })
  const inferrer = await openHttpInferrer(server.url)
  t.onTestFinished(() => inferrer[Symbol.asyncDispose]())
  const source = listSource({ events, chunk: 10 })
  const options = { source, broker, run: 'r', rate: 'max', batchEvents, signal: t.signal } as const
  const report = await emit({ ...options, tracer: emitting })
  const consumer = startConsuming(t, { broker, inferrer, tracer: consuming })
  await untilDrained(broker)
  await consumer.stop()
  await inferrer[Symbol.asyncDispose]()
  await server.close()
  return report
}

function tracer(role: string, url: string, ratio = 1): Promise<Tracer> {
  return openTracer({ url, ratio, role, instance: `${role}-1`, version: '1.2.3' })
}

function named(spans: readonly ReceivedSpan[], name: string): ReceivedSpan[] {
  return spans.filter((span) => span.name === name)
}

function only(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const found = named(spans, name)
  expect(found.length, `spans named ${name}`).toBe(1)
  return found[0]
}
