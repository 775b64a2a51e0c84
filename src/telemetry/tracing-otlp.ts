import {
  type Context,
  type Link,
  SpanKind as OtelKind,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  type SpanContext,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import { within } from '../async/deadline.ts'
import { createRepeatLimit } from './log.ts'
import {
  formatTraceparent,
  parseTraceparent,
  type Span,
  type SpanKind,
  type SpanOptions,
  type Tracer,
  type TracingOptions,
} from './tracing.ts'

/** Spans that wait to be sent. Further spans are dropped, so that a collector that is away costs bounded memory. */
const QUEUE_MAX = 4096
const SENT_AT_ONCE = 512
/** Closing sends all that waits at once. */
const SENDS_AT_ONCE = 1 + QUEUE_MAX / SENT_AT_ONCE
const SEND_EVERY_MS = 1_000
const SEND_WITHIN_MS = 5_000
/** Closing sends what waits for no longer than this. */
const CLOSE_WITHIN_MS = 3_000

const KINDS: Readonly<Record<SpanKind, OtelKind>> = {
  internal: OtelKind.INTERNAL,
  producer: OtelKind.PRODUCER,
  consumer: OtelKind.CONSUMER,
  client: OtelKind.CLIENT,
  server: OtelKind.SERVER,
}

/** Spans as OTLP over HTTP, in batches, from a bounded queue. The one place that knows OpenTelemetry's packages. */
export class OtlpTracer implements Tracer {
  readonly #provider: TracerProvider
  readonly #tracer: OtelTracer

  constructor(url: string, { ratio = 1, role, instance, version, log }: TracingOptions) {
    const exporter = new OTLPTraceExporter({
      url,
      timeoutMillis: SEND_WITHIN_MS,
      concurrencyLimit: SENDS_AT_ONCE,
    })
    this.#provider = new TracerProvider({
      // A trace that another part has begun is kept or dropped as a whole.
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
      resource: resourceFromAttributes({
        'service.name': `nustream-${role}`,
        'service.namespace': 'nustream',
        'service.instance.id': instance,
        'service.version': version,
      }),
      spanProcessors: [
        new BatchSpanProcessor({
          exporter: withWarnings(exporter, url, log),
          maxQueueSize: QUEUE_MAX,
          maxExportBatchSize: SENT_AT_ONCE,
          scheduledDelayMillis: SEND_EVERY_MS,
          exportTimeoutMillis: SEND_WITHIN_MS,
        }),
      ],
    })
    this.#tracer = this.#provider.getTracer('nustream', version)
  }

  start(name: string, options: SpanOptions = {}): Span {
    const { parent, links = [], kind = 'internal', attributes = {}, startMs } = options
    const span = this.#tracer.startSpan(
      name,
      {
        kind: KINDS[kind],
        attributes,
        links: links
          .map(toContext)
          .filter((context) => context !== undefined)
          .map((context): Link => ({ context })),
        ...(startMs !== undefined && { startTime: toEpochMs(startMs) }),
      },
      toParent(parent),
    )
    return new OtlpSpan(span)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What a collector does not take in time is lost, and its failure is no failure of the part that ends.
    await within(() => this.#provider.shutdown(), CLOSE_WITHIN_MS).catch(() => undefined)
  }
}

class OtlpSpan implements Span {
  readonly #span: OtelSpan

  constructor(span: OtelSpan) {
    this.#span = span
  }

  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext()
    return formatTraceparent({ traceId, spanId, flags: traceFlags })
  }

  set(attributes: Parameters<Span['set']>[0]): void {
    this.#span.setAttributes(attributes)
  }

  fail(error: unknown): void {
    this.#span.recordException(error instanceof Error ? error : String(error))
    const message = error instanceof Error ? error.message : String(error)
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message })
  }

  end(endMs?: number): void {
    this.#span.end(endMs === undefined ? undefined : toEpochMs(endMs))
  }
}

function toEpochMs(monotonicMs: number): number {
  return performance.timeOrigin + monotonicMs
}

function toContext(traceparent: string | undefined): SpanContext | undefined {
  const parsed = parseTraceparent(traceparent)
  return (
    parsed && { traceId: parsed.traceId, spanId: parsed.spanId, traceFlags: parsed.flags & 1, isRemote: true }
  )
}

function toParent(traceparent: string | undefined): Context {
  const parent = toContext(traceparent)
  return parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT
}

/** The exporter, with a line in the log, limited in number, when the collector does not take spans. */
function withWarnings(exporter: SpanExporter, url: string, log: Logger | undefined): SpanExporter {
  const limit = createRepeatLimit()
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const reason = result.error?.message ?? 'unknown'
        if (result.code !== 0)
          limit('export', (repeats) =>
            log?.warn({ url, reason, repeats, spans: spans.length }, 'the collector does not take traces'),
          )
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush && { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() }),
  }
}
