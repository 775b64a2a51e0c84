import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Counter, Gauge, Histogram, type OpenMetricsContentType, Registry } from 'prom-client'
import type { QueueWatch } from '../inference/network/queue.ts'
import { STEP_BUCKETS_SECONDS } from '../telemetry/buckets.ts'
import { NO_TRACER, type Span, type Tracer } from '../telemetry/tracing.ts'

/** Fate of one event of a request. */
export type EventOutcome = 'predicted' | 'refused' | 'failed'

export interface ServerMetrics {
  /** `traceId` of the trace that the request is part of, where it is kept. */
  request(route: string, status: number, seconds: number, traceId?: string): void
  events(outcome: EventOutcome, count: number): void
  /** A request was refused because the queue, or the memory for bodies, was full. */
  rejectedOverload(): void
  /** Requests whose caller went away before the answer. */
  cancelled(): void
}

export interface ServerState {
  readonly bodiesBytes: () => number
  readonly model: () => { readonly name: string; readonly version: string }
}

const EVENTS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096]

/** Metrics of requests to the model server. Labels are closed sets: route patterns, status codes, outcomes. */
export function serverMetrics(registry: Registry, state: ServerState): ServerMetrics {
  const registers = [registry]
  // prom-client makes metrics with exemplars for registries of this form only; the other form shows them without.
  const openMetrics = new Registry<OpenMetricsContentType>()
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const requests = new Histogram<'route' | 'status' | 'trace_id'>({
    name: 'nustream_server_request_seconds',
    help: 'Time from the first byte of a request to its answer; its count is the number of requests.',
    labelNames: ['route', 'status'],
    buckets: STEP_BUCKETS_SECONDS,
    enableExemplars: true,
    registers: [openMetrics],
  })
  registry.registerMetric(requests)
  const events = new Counter({
    name: 'nustream_server_events_total',
    help: 'Events asked for, by outcome: predicted, refused (their values are bad) or failed (the model could not).',
    labelNames: ['outcome'],
    registers,
  })
  const rejected = new Counter({
    name: 'nustream_server_rejected_overload_total',
    help: 'Requests answered 503 because the queue or the memory for bodies was full.',
    registers,
  })
  const cancelled = new Counter({
    name: 'nustream_server_cancelled_total',
    help: 'Requests whose caller went away before the answer.',
    registers,
  })
  stateGauges(registry, state)
  const requestChild = remember((key) => {
    const [route, status] = key.split(' ')
    return requests.labels(route, status)
  })
  const eventChild = remember((outcome) => events.labels(outcome))
  return {
    request(route, status, seconds, traceId) {
      if (traceId === undefined) return requestChild(`${route} ${status}`).observe(seconds)
      requests.observe({ labels: { route, status }, value: seconds, exemplarLabels: { trace_id: traceId } })
    },
    events: (outcome, count) => eventChild(outcome).inc(count),
    rejectedOverload: () => rejected.inc(),
    cancelled: () => cancelled.inc(),
  }
}

/** Metrics of what waits for the model. */
export function queueMetrics(registry: Registry): QueueWatch {
  const registers = [registry]
  let queued = 0
  new Gauge({
    name: 'nustream_server_queued_events',
    help: 'Events (and tensor rows) that wait for a free worker now.',
    registers,
    collect() {
      this.set(queued)
    },
  })
  const labelNames = ['work'] as const
  const wait = new Histogram({
    name: 'nustream_server_queue_wait_seconds',
    help: 'Time a request waited for a free worker.',
    labelNames,
    buckets: STEP_BUCKETS_SECONDS,
    registers,
  })
  const size = new Histogram({
    name: 'nustream_server_batch_events',
    help: 'Events (or tensor rows) that went to the model together.',
    labelNames,
    buckets: EVENTS,
    registers,
  })
  const inference = new Histogram({
    name: 'nustream_server_inference_seconds',
    help: 'Time the model took for one batch, features included.',
    labelNames,
    buckets: STEP_BUCKETS_SECONDS,
    registers,
  })
  const childrenOf = (work: 'events' | 'tensors') => ({
    waits: wait.labels(work),
    sizes: size.labels(work),
    runs: inference.labels(work),
  })
  const children = { events: childrenOf('events'), tensors: childrenOf('tensors') }
  return {
    waiting(change) {
      queued += change
    },
    begun(work, events, waitsSeconds) {
      const { sizes, waits } = children[work]
      sizes.observe(events)
      for (const seconds of waitsSeconds) waits.observe(seconds)
    },
    finished: (work, seconds) => children[work].runs.observe(seconds),
  }
}

/** Paths that monitoring asks for every few seconds, and that are no use in a trace. */
const UNTRACED = /^\/(health|metrics|docs|openapi|v2\/health)/

/** Times every request, and starts a span for each that is part of its caller's trace (header `traceparent`). */
export function watchRequests(app: FastifyInstance, metrics: ServerMetrics, tracer: Tracer): void {
  const spans = new WeakMap<FastifyRequest, Span>()
  if (tracer !== NO_TRACER) {
    app.addHook('onRequest', (request, _reply, done) => {
      const { traceparent } = request.headers
      if (!UNTRACED.test(request.url)) {
        const route = request.routeOptions.url ?? 'unmatched'
        const attributes = { 'http.request.method': request.method, 'http.route': route }
        const parent = typeof traceparent === 'string' ? traceparent : undefined
        spans.set(request, tracer.start(`${request.method} ${route}`, { parent, kind: 'server', attributes }))
      }
      done()
    })
  }
  app.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request)
    const route = request.routeOptions.url ?? 'unmatched'
    metrics.request(route, reply.statusCode, reply.elapsedTime / 1000, keptTraceOf(span))
    span?.set({ 'http.response.status_code': reply.statusCode })
    if (reply.statusCode >= 500) span?.fail(`answered ${reply.statusCode}`)
    span?.end()
    done()
  })
}

/** Trace id of a span that is sent to the collector: the last field of its traceparent says so. */
function keptTraceOf(span: Span | undefined): string | undefined {
  const [, traceId, , flags = ''] = span?.traceparent?.split('-') ?? []
  return Number.parseInt(flags, 16) & 1 ? traceId : undefined
}

function stateGauges(registry: Registry, state: ServerState): void {
  const registers = [registry]
  new Gauge({
    name: 'nustream_server_bodies_bytes',
    help: 'Bytes of request bodies held now.',
    registers,
    collect() {
      this.set(state.bodiesBytes())
    },
  })
  new Gauge({
    name: 'nustream_server_model_info',
    help: 'Always 1; its labels name the model that answers.',
    labelNames: ['model', 'version'],
    registers,
    collect() {
      const { name, version } = state.model()
      this.reset()
      this.set({ model: name, version }, 1)
    },
  })
}

/** Children of a metric, looked up once per label set: prom-client hashes labels at every call otherwise. */
function remember<T>(make: (key: string) => T): (key: string) => T {
  const made = new Map<string, T>()
  return (key) => {
    const known = made.get(key)
    if (known !== undefined) return known
    const fresh = make(key)
    made.set(key, fresh)
    return fresh
  }
}
