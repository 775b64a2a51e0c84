import type { DashboardPlan } from './dashboard.ts'

const RATE = '[$__rate_interval]'

/** How good the answers are, and whether the model is used on what it knows. */
export const quality: DashboardPlan = {
  uid: 'nustream-quality',
  title: 'model quality',
  description:
    'How good are the directions, how sure is the model, and are events still what it was trained on?',
  rows: [
    {
      title: 'Directions',
      panels: [
        {
          title: 'Mean angular error',
          description: 'Where the truth is known (simulation, Kaggle). Chance is 1.571 rad.',
          kind: 'stat',
          unit: 'suffix: rad',
          decimals: 3,
          queries: [{ expr: 'nustream:angular_error_radians:mean5m', legend: 'mean' }],
          limits: { orange: 1.3, red: 1.5 },
          width: 4,
          height: 8,
          runbook: 'drift',
        },
        {
          title: 'Angular error',
          description: 'Mean and median. The line at 1.571 is chance: a model at it knows nothing.',
          kind: 'timeseries',
          unit: 'suffix: rad',
          decimals: 3,
          min: 0,
          queries: [
            { expr: 'nustream:angular_error_radians:mean5m', legend: 'mean' },
            { expr: 'nustream:angular_error_radians:p50', legend: 'median' },
          ],
          limits: { red: 1.571 },
          width: 10,
          runbook: 'drift',
        },
        {
          title: 'All events, by angular error',
          description: 'How many events fall into which range of error, in radians.',
          kind: 'heatmap',
          unit: 'short',
          queries: [
            {
              expr: `sum by (le) (increase(nustream_consumer_angular_error_radians_bucket${RATE}))`,
              legend: '{{le}}',
            },
          ],
          width: 10,
        },
        {
          title: 'Kappa',
          description:
            'How sure the model is, at the quartiles; only models that say so. Falling with the error unchanged: the calibration has changed.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [0.25, 0.5, 0.75].map((q) => ({
            expr: `histogram_quantile(${q}, sum by (le) (rate(nustream_consumer_kappa_bucket${RATE})))`,
            legend: `p${q * 100}`,
          })),
          width: 8,
        },
        {
          title: 'Events that fix no direction',
          description:
            'Share of the predicted events whose pulses fixed no direction, so that a last resort was taken.',
          kind: 'timeseries',
          unit: 'percentunit',
          min: 0,
          queries: [
            {
              expr: `sum(rate(nustream_consumer_degenerate_events_total${RATE})) / sum(rate(nustream_consumer_events_total{outcome="predicted"}${RATE}))`,
              legend: 'share',
            },
          ],
          limits: { orange: 0.05 },
          width: 8,
        },
        {
          title: 'Dead letters, of all events',
          description: 'Share of the events of the last five minutes that could not be predicted.',
          kind: 'timeseries',
          unit: 'percentunit',
          min: 0,
          queries: [{ expr: 'nustream:dead_letter_ratio:rate5m', legend: 'share' }],
          limits: { red: 0.01 },
          width: 8,
          runbook: 'error-rate-high',
        },
      ],
    },
    {
      title: 'Input',
      panels: [
        {
          title: 'Drift',
          description:
            'Population stability index of each feature of the last 20,000 events against those the model was trained on. Below 0.1 they are alike, above 0.25 they are not.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          decimals: 3,
          queries: [{ expr: 'max by (feature) (nustream_consumer_drift_psi)', legend: '{{feature}}' }],
          limits: { orange: 0.1, red: 0.25 },
          width: 8,
          runbook: 'drift',
        },
        {
          title: 'Events that the drift is made of',
          description: 'Fewer than 250: no index yet. Many: the index is sharp.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [{ expr: 'nustream_consumer_drift_events', legend: '{{instance}}' }],
          width: 8,
        },
        {
          title: 'Pulses per event',
          description:
            'Mean over what the emitter sends. A jump is another detector configuration, filter or noise.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            {
              expr: `sum(rate(nustream_emitter_pulses_total${RATE})) / sum(rate(nustream_emitter_events_total${RATE}))`,
              legend: 'pulses',
            },
          ],
          width: 8,
        },
      ],
    },
    {
      title: 'Model',
      panels: [
        {
          title: 'Which model predicts',
          description: 'By consumer and by model server. Two versions at once: an upgrade is under way.',
          kind: 'table',
          unit: 'short',
          queries: [
            { expr: 'nustream_consumer_model_info', legend: '' },
            { expr: 'nustream_server_model_info', legend: '' },
          ],
          width: 12,
          height: 7,
          runbook: 'rollback',
        },
        {
          title: 'Batches of the model server',
          description: 'Events that go to the model together, by kind of work, half of them.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            {
              expr: `histogram_quantile(0.5, sum by (le, work) (rate(nustream_server_batch_events_bucket${RATE})))`,
              legend: '{{work}}',
            },
          ],
          width: 12,
          height: 7,
        },
      ],
    },
    {
      title: 'Registry and challenger',
      panels: [
        {
          title: 'A release was refused',
          description:
            'Yes: the registry names a release that failed here, and the one before answers. /health says why.',
          kind: 'stat',
          unit: 'bool_yes_no',
          queries: [{ expr: 'max by (slot) (nustream_model_release_refused)', legend: '{{slot}}' }],
          limits: { red: 1 },
          width: 4,
          runbook: 'model-refused',
        },
        {
          title: 'The registry answers',
          description: 'No: the model stays as it is, and new releases do not reach it.',
          kind: 'stat',
          unit: 'bool_yes_no',
          queries: [{ expr: 'min by (slot) (nustream_model_registry_up)', legend: '{{slot}}' }],
          limits: { red: 1, isFloor: true },
          width: 4,
          runbook: 'model-registry-away',
        },
        {
          title: 'New releases, by what became of them',
          description:
            'In the last hour, over all servers: swapped in, refused before that, or rolled back after it.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            {
              expr: 'sum by (slot, outcome) (increase(nustream_model_swaps_total[1h]))',
              legend: '{{slot}} {{outcome}}',
            },
          ],
          width: 16,
          height: 4,
        },
        {
          title: 'Angle between champion and challenger',
          description:
            'Of the events that both did. Nearly 0: the same model. Half of them at 1.571: one of the two guesses.',
          kind: 'timeseries',
          unit: 'suffix: rad',
          min: 0,
          queries: [0.5, 0.9].map((q) => ({
            expr: `histogram_quantile(${q}, sum by (le) (rate(nustream_server_challenger_angle_radians_bucket${RATE})))`,
            legend: `p${q * 100}`,
          })),
          limits: { red: 1.571 },
          width: 12,
        },
        {
          title: 'Events of the challenger',
          description:
            'Compared, failed, or not shown because it was busy: what it has no room for is dropped, so that nobody waits for it.',
          kind: 'timeseries',
          unit: 'evs',
          min: 0,
          stacked: true,
          queries: [
            {
              expr: `sum by (outcome) (rate(nustream_server_challenger_events_total${RATE}))`,
              legend: '{{outcome}}',
            },
          ],
          width: 12,
        },
      ],
    },
    {
      title: 'MLflow',
      panels: [
        {
          title: 'Points that wait for MLflow',
          description: 'Share of the buffer. Full: the oldest points are dropped; predictions go on.',
          kind: 'timeseries',
          unit: 'percentunit',
          min: 0,
          max: 1,
          queries: [
            {
              expr: 'nustream_mlflow_buffered_points / nustream_mlflow_buffer_limit_points',
              legend: '{{instance}}',
            },
          ],
          limits: { red: 0.8 },
          width: 8,
          runbook: 'mlflow-buffer-full',
        },
        {
          title: 'Points dropped',
          description: 'In the last ten minutes; they are missing in MLflow.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [{ expr: 'increase(nustream_mlflow_dropped_points_total[10m])', legend: '{{instance}}' }],
          limits: { red: 1 },
          width: 8,
          runbook: 'mlflow-dropping',
        },
        {
          title: 'Tries that failed, by reason',
          description:
            'In the last ten minutes: MLflow is away, refuses the credentials, or refuses what it is sent.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            {
              expr: 'sum by (reason) (increase(nustream_mlflow_failures_total[10m]))',
              legend: '{{reason}}',
            },
          ],
          width: 8,
          runbook: 'mlflow-away',
        },
      ],
    },
  ],
}
