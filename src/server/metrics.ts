import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { STEP_BUCKETS_SECONDS } from '../telemetry/buckets.ts'
import type { CoalesceWatch } from './coalesce.ts'

/** Fate of one event of a request. */
export type EventOutcome = 'predicted' | 'refused' | 'failed'

export interface ServerMetrics {
  request(route: string, status: number, seconds: number): void
  events(outcome: EventOutcome, count: number): void
  /** A request turned away because of its place in a full queue, or of the memory its body would take. */
  rejectedOverload(): void
  /** Requests whose caller went away before the answer. */
  cancelled(): void
  /** Callbacks for the queue of events or of tensors. */
  watch(work: 'events' | 'tensors'): CoalesceWatch
}

export interface ServerState {
  readonly queuedEvents: () => number
  readonly bodiesBytes: () => number
  readonly model: () => { readonly name: string; readonly version: string }
}

const EVENTS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096]

/** Every metric of the model server. Labels are closed sets: route patterns, status codes, outcomes. */
export function serverMetrics(registry: Registry, state: ServerState): ServerMetrics {
  const registers = [registry]
  const requests = new Histogram({
    name: 'nustream_server_request_seconds',
    help: 'Time from the first byte of a request to its answer; its count is the number of requests.',
    labelNames: ['route', 'status'],
    buckets: STEP_BUCKETS_SECONDS,
    registers,
  })
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
    request: (route, status, seconds) => requestChild(`${route} ${status}`).observe(seconds),
    events: (outcome, count) => eventChild(outcome).inc(count),
    rejectedOverload: () => rejected.inc(),
    cancelled: () => cancelled.inc(),
    watch: queueWatches(registry, () => rejected.inc()),
  }
}

function queueWatches(
  registry: Registry,
  refused: () => void,
): (work: 'events' | 'tensors') => CoalesceWatch {
  const registers = [registry]
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
  return (work) => {
    const [waits, sizes, runs] = [wait.labels(work), size.labels(work), inference.labels(work)]
    return {
      dispatched: (events, waitsSeconds) => {
        sizes.observe(events)
        for (const seconds of waitsSeconds) waits.observe(seconds)
      },
      ran: (seconds) => runs.observe(seconds),
      refused,
    }
  }
}

function stateGauges(registry: Registry, state: ServerState): void {
  const registers = [registry]
  new Gauge({
    name: 'nustream_server_queued_events',
    help: 'Events (and tensor rows) that wait for a free worker now.',
    registers,
    collect() {
      this.set(state.queuedEvents())
    },
  })
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
