import type { DashboardPlan } from './dashboard.ts'
import type { PanelPlan } from './panel.ts'

const RATE = '[$__rate_interval]'

/** Quantiles of a histogram over all instances, by the labels given. */
function quantiles(metric: string, by = ''): PanelPlan['queries'] {
  return [0.5, 0.99].map((q) => ({
    expr: `histogram_quantile(${q}, sum by (le${by && `, ${by}`}) (rate(${metric}_bucket${RATE})))`,
    legend: `p${q * 100}${by && ` {{${by}}}`}`,
  }))
}

function stage(title: string, description: string, metric: string, by?: string): PanelPlan {
  return {
    title,
    description,
    kind: 'timeseries',
    unit: 's',
    min: 0,
    queries: quantiles(metric, by),
    width: 8,
  }
}

/** Where the time goes. */
export const latency: DashboardPlan = {
  uid: 'nustream-latency',
  title: 'latency',
  description: 'How long does an event take from the emitter to its stored direction, and in which stage?',
  rows: [
    {
      title: 'From emitter to stored direction',
      panels: [
        {
          title: 'p99',
          description: 'The promise is 0.5 s.',
          kind: 'stat',
          unit: 's',
          queries: [{ expr: 'nustream:latency_seconds:p99', legend: 'p99' }],
          limits: { orange: 0.3, red: 0.5 },
          width: 4,
          height: 8,
          runbook: 'latency-high',
        },
        {
          title: 'Within 0.5 s',
          description: 'Share of the batches that keep the promise.',
          kind: 'stat',
          unit: 'percentunit',
          min: 0,
          max: 1,
          queries: [
            {
              expr: `sum(rate(nustream_consumer_latency_seconds_bucket{le="0.5"}${RATE})) / sum(rate(nustream_consumer_latency_seconds_count${RATE}))`,
              legend: 'in time',
            },
          ],
          limits: { orange: 0.999, red: 0.99, isFloor: true },
          width: 4,
          height: 8,
          runbook: 'latency-high',
        },
        {
          title: 'Latency',
          description: 'Per batch, from when its first event was due to leave the emitter.',
          kind: 'timeseries',
          unit: 's',
          min: 0,
          queries: [
            { expr: 'nustream:latency_seconds:p50', legend: 'p50' },
            { expr: 'nustream:latency_seconds:p95', legend: 'p95' },
            { expr: 'nustream:latency_seconds:p99', legend: 'p99' },
          ],
          limits: { red: 0.5 },
          width: 16,
          runbook: 'latency-high',
        },
        {
          title: 'All batches',
          description: 'How many batches took how long: two bands are two kinds of batches.',
          kind: 'heatmap',
          unit: 'short',
          queries: [
            {
              expr: `sum by (le) (increase(nustream_consumer_latency_seconds_bucket${RATE}))`,
              legend: '{{le}}',
            },
          ],
          width: 24,
          height: 9,
        },
      ],
    },
    {
      title: 'Stage by stage',
      panels: [
        stage('Publish', 'The broker takes a batch from the emitter.', 'nustream_emitter_publish_seconds'),
        stage(
          'Wait in the broker',
          'From emitted to delivered. Grows when consumers are too few or too slow.',
          'nustream_consumer_queue_wait_seconds',
        ),
        stage('Decode and check', 'Bytes to events, each checked.', 'nustream_consumer_decode_seconds'),
        stage(
          'Model, as the consumer sees it',
          'One call, its own queue and the network included.',
          'nustream_consumer_inference_seconds',
        ),
        stage(
          'Settle',
          'The broker stores predictions and acknowledges, in one step.',
          'nustream_consumer_settle_seconds',
        ),
        {
          title: 'Batch size',
          description:
            'Events in a delivered batch, half of them and nearly all. Larger batches save work and cost waiting.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: quantiles('nustream_consumer_batch_events'),
          width: 8,
        },
      ],
    },
    {
      title: 'In the model server',
      panels: [
        stage(
          'Requests',
          'From the first byte to the answer, by route.',
          'nustream_server_request_seconds',
          'route',
        ),
        stage(
          'Wait for a worker',
          'By kind of work. Grows when the model is the bottleneck.',
          'nustream_server_queue_wait_seconds',
          'work',
        ),
        stage('Model', 'Features included, by kind of work.', 'nustream_server_inference_seconds', 'work'),
        {
          title: 'Requests a second',
          description: 'By status. 503 is overload; other 5xx are faults of the server.',
          kind: 'timeseries',
          unit: 'reqps',
          min: 0,
          queries: [
            {
              expr: `sum by (status) (rate(nustream_server_request_seconds_count${RATE}))`,
              legend: '{{status}}',
            },
          ],
          width: 8,
          runbook: 'model-server-errors',
        },
        {
          title: 'Queue',
          description: 'Events that wait for the model now.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [{ expr: 'nustream_server_queued_events', legend: '{{instance}}' }],
          width: 8,
          runbook: 'model-overloaded',
        },
        {
          title: 'Turned away',
          description:
            'Requests a second that were answered 503 because there was no room, and callers that went away before their answer.',
          kind: 'timeseries',
          unit: 'reqps',
          min: 0,
          queries: [
            { expr: `sum(rate(nustream_server_rejected_overload_total${RATE}))`, legend: 'overload' },
            { expr: `sum(rate(nustream_server_cancelled_total${RATE}))`, legend: 'cancelled' },
          ],
          width: 8,
          runbook: 'model-overloaded',
        },
      ],
    },
  ],
}
