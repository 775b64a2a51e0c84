import { Counter, exponentialBuckets, Gauge, Histogram, type Registry } from 'prom-client'
import { EVENT_ERROR_CODES, UNAVAILABLE_CODES, type UnavailableCode } from '../errors.ts'
import { ANGLE_BUCKETS_RAD } from '../telemetry/buckets.ts'

/** Why the model was asked again: it was away, or it failed on some of the events. */
export type RetryReason = UnavailableCode | 'model_failed' | 'model_timeout'

export type ConsumerMetrics = ReturnType<typeof consumerMetrics>

// 1 ms to 60 s, dense around the promise of 500 ms
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60]
// 0.1 ms to 6.5 s
const SHORT_SECONDS = exponentialBuckets(0.0001, 2, 17)
// 1 to 32,768 events
const BATCH_EVENTS = exponentialBuckets(1, 2, 16)
// no better than a guess (0.1) to a tenth of a degree (1e6)
const KAPPAS = exponentialBuckets(0.1, 10, 8)

/** Every metric that the consumer exports. Labels are closed sets; never an id or a message. */
export function consumerMetrics(registry: Registry) {
  const registers = [registry]
  const metrics = {
    ...fates(registers),
    ...durations(registers),
    ...quality(registers),
    ...stream(registers),
  }
  // Known reasons stand at 0 from the start, so that the first one is an increase.
  for (const outcome of OUTCOMES) metrics.events.inc({ outcome }, 0)
  for (const code of EVENT_ERROR_CODES) metrics.deadLetters.inc({ code }, 0)
  for (const reason of [...UNAVAILABLE_CODES, 'model_failed', 'model_timeout'] as const) {
    metrics.retries.inc({ reason }, 0)
  }
  return metrics
}

const OUTCOMES = ['predicted', 'dead_lettered', 'repeated'] as const

function fates(registers: Registry[]) {
  return {
    events: new Counter({
      name: 'nustream_consumer_events_total',
      help: 'Events by outcome; repeated ones belong to a batch that had been settled before.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    deadLetters: new Counter({
      name: 'nustream_consumer_dead_letters_total',
      help: 'Dead letters by reason; one can hold several events of a batch.',
      labelNames: ['code'] as const,
      registers,
    }),
    redeliveries: new Counter({
      name: 'nustream_consumer_redeliveries_total',
      help: 'Deliveries of batches that had been delivered before.',
      registers,
    }),
    splits: new Counter({
      name: 'nustream_consumer_splits_total',
      help: 'Batches put back in parts because consumers ended while they held them.',
      registers,
    }),
    releases: new Counter({
      name: 'nustream_consumer_releases_total',
      help: 'Batches released without an outcome.',
      registers,
    }),
    retries: new Counter({
      name: 'nustream_consumer_retries_total',
      help: 'Calls of the model that were repeated, by reason.',
      labelNames: ['reason'] as const,
      registers,
    }),
  }
}

function durations(registers: Registry[]) {
  const seconds = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `nustream_consumer_${name}_seconds`, help, buckets, registers })
  return {
    batchEvents: new Histogram({
      name: 'nustream_consumer_batch_events',
      help: 'Events in a delivered batch.',
      buckets: BATCH_EVENTS,
      registers,
    }),
    queueWait: seconds('queue_wait', 'From emitted to delivered, per batch.', SECONDS),
    decode: seconds('decode', 'Decoding and checking a batch.', SHORT_SECONDS),
    inference: seconds('inference', 'One call of the model.', SECONDS),
    settle: seconds('settle', 'Storing and acknowledging a batch.', SECONDS),
    latency: seconds('latency', 'From emitted to stored, per batch.', SECONDS),
  }
}

function quality(registers: Registry[]) {
  return {
    angularError: new Histogram({
      name: 'nustream_consumer_angular_error_radians',
      help: 'Opening angle between prediction and truth, per event whose truth is known.',
      buckets: ANGLE_BUCKETS_RAD,
      registers,
    }),
    kappa: new Histogram({
      name: 'nustream_consumer_kappa',
      help: 'Concentration (kappa) that the model reports, per event.',
      buckets: KAPPAS,
      registers,
    }),
    degenerate: new Counter({
      name: 'nustream_consumer_degenerate_events_total',
      help: 'Predicted events whose pulses fix no direction, so that the model fell back to a default.',
      registers,
    }),
    driftPsi: new Gauge({
      name: 'nustream_consumer_drift_psi',
      help: 'Population stability index of the latest events against those that the model was trained on.',
      labelNames: ['feature'] as const,
      registers,
    }),
    driftEvents: new Gauge({
      name: 'nustream_consumer_drift_events',
      help: 'Events that the index was computed from.',
      registers,
    }),
    modelUp: new Gauge({
      name: 'nustream_consumer_model_up',
      help: '1 where the model can be asked, by its latest call or check.',
      registers,
    }),
    modelInfo: new Gauge({
      name: 'nustream_consumer_model_info',
      help: 'Always 1; the labels say which model makes the predictions now.',
      labelNames: ['model', 'version'] as const,
      registers,
    }),
  }
}

function stream(registers: Registry[]) {
  const gauge = (name: string, help: string) => new Gauge({ name: `nustream_${name}`, help, registers })
  return {
    onLoan: gauge('consumer_on_loan_batches', 'Batches that this consumer holds now.'),
    careful: gauge(
      'consumer_careful',
      '1 while this consumer takes one batch at a time, because a batch may have ended the consumer that held it.',
    ),
    brokerUp: gauge('broker_up', '1 where the broker answered the last time it was asked.'),
    backlogBatches: new Gauge({
      name: 'nustream_broker_backlog_batches',
      help: 'Batches not yet settled, by state.',
      labelNames: ['state'] as const,
      registers,
    }),
    backlogEvents: gauge('broker_backlog_events', 'Events not yet settled.'),
    oldestAge: gauge('broker_oldest_age_seconds', 'Age of the oldest batch not yet settled.'),
    roleBeat: new Gauge({
      name: 'nustream_broker_heartbeat_timestamp_seconds',
      help: 'Unix time of the newest heartbeat of each role; kept for a day, unless its parts ended in order.',
      labelNames: ['role'] as const,
      registers,
    }),
    totals: new Gauge({
      name: 'nustream_broker_events',
      help: 'Events since the stream began, by fate, as the broker counts them.',
      labelNames: ['fate'] as const,
      registers,
    }),
  }
}
