import type { DashboardPlan } from './dashboard.ts'

const RATE = '[$__rate_interval]'

/** What waits, what comes back, and whether the account adds up. */
export const broker: DashboardPlan = {
  uid: 'nustream-broker',
  title: 'broker',
  description: 'Does the broker answer, what waits in it, what comes back, and is every event accounted for?',
  rows: [
    {
      title: 'Account',
      panels: [
        {
          title: 'Broker',
          description: '1 where it answered each consumer when last asked.',
          kind: 'stat',
          unit: 'bool_yes_no',
          queries: [{ expr: 'min(nustream_broker_up)', legend: 'up' }],
          limits: { red: 1, isFloor: true },
          width: 4,
          runbook: 'broker-down',
        },
        {
          title: 'Waiting',
          description: 'Events without a fate.',
          kind: 'stat',
          unit: 'short',
          queries: [{ expr: 'nustream:backlog_events', legend: 'events' }],
          limits: { orange: 1500, red: 15000 },
          width: 4,
          runbook: 'lag-growing',
        },
        {
          title: 'Oldest',
          description: 'How long the oldest batch has waited.',
          kind: 'stat',
          unit: 's',
          queries: [{ expr: 'nustream:backlog_oldest_seconds', legend: 'oldest' }],
          limits: { orange: 5, red: 60 },
          width: 4,
          runbook: 'backlog-old',
        },
        {
          title: 'Events since the stream began',
          description: 'As the broker counts them, in the same steps that store them.',
          kind: 'stat',
          unit: 'short',
          queries: [{ expr: 'max by (fate) (nustream_broker_events)', legend: '{{fate}}' }],
          width: 8,
        },
        {
          title: 'Unaccounted for',
          description:
            'Emitted less predicted, dead-lettered and waiting. Never less than 0, and 0 at rest; what is read between two steps can differ by a batch for a moment.',
          kind: 'stat',
          unit: 'short',
          queries: [
            {
              expr: 'max(nustream_broker_events{fate="emitted"}) - max(nustream_broker_events{fate="predicted"}) - max(nustream_broker_events{fate="dead_lettered"}) - max(nustream_broker_backlog_events)',
              legend: 'events',
            },
          ],
          width: 4,
        },
      ],
    },
    {
      title: 'Backlog',
      panels: [
        {
          title: 'Batches, by state',
          description: 'Unread, or on loan to a consumer.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          stacked: true,
          queries: [{ expr: 'max by (state) (nustream_broker_backlog_batches)', legend: '{{state}}' }],
          width: 8,
          runbook: 'lag-growing',
        },
        {
          title: 'Age of the oldest batch',
          description: 'Rises by a second a second while nothing moves.',
          kind: 'timeseries',
          unit: 's',
          min: 0,
          queries: [{ expr: 'nustream:backlog_oldest_seconds', legend: 'oldest' }],
          limits: { red: 60 },
          width: 8,
          runbook: 'backlog-old',
        },
        {
          title: 'On loan, by consumer',
          description:
            'Always 0 while the backlog grows: that consumer gets nothing. Always at its limit: the model is the bottleneck.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [{ expr: 'nustream_consumer_on_loan_batches', legend: '{{instance}}' }],
          width: 8,
        },
        {
          title: 'Emitter held back',
          description:
            'Share of the time in which the emitter waits because the broker holds too many events, and how far behind its schedule it is.',
          kind: 'timeseries',
          unit: 'percentunit',
          min: 0,
          queries: [
            { expr: `rate(nustream_emitter_paused_seconds_total${RATE})`, legend: 'paused {{instance}}' },
          ],
          width: 8,
          runbook: 'emitter-behind',
        },
        {
          title: 'Emitter behind its schedule',
          description: '0 at the rate max.',
          kind: 'timeseries',
          unit: 's',
          min: 0,
          queries: [{ expr: 'nustream_emitter_behind_seconds', legend: '{{instance}}' }],
          limits: { red: 5 },
          width: 8,
          runbook: 'emitter-behind',
        },
        {
          title: 'How far the run is',
          description: 'Events of the run that the emitter is in, over all its restarts.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [{ expr: 'nustream_emitter_run_events', legend: '{{instance}}' }],
          width: 8,
        },
      ],
    },
    {
      title: 'What comes back, and what cannot be processed',
      panels: [
        {
          title: 'Batches that come back',
          description:
            'Lent before and not settled (consumers died), taken apart to find an event that ends consumers, or given back unharmed. In the last ten minutes.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            { expr: 'sum(increase(nustream_consumer_redeliveries_total[10m]))', legend: 'redelivered' },
            { expr: 'sum(increase(nustream_consumer_splits_total[10m]))', legend: 'split' },
            { expr: 'sum(increase(nustream_consumer_releases_total[10m]))', legend: 'released' },
          ],
          width: 8,
          runbook: 'consumers-die',
        },
        {
          title: 'Tries again, by reason',
          description: 'What is away. Nothing is lost meanwhile.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            {
              expr: 'sum by (reason) (increase(nustream_consumer_retries_total[10m]))',
              legend: '{{reason}}',
            },
          ],
          width: 8,
          runbook: 'retrying',
        },
        {
          title: 'Dead letters, by reason',
          description: 'New ones of the last ten minutes, from consumers and from the source.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            {
              expr: 'sum by (code) (increase(nustream_consumer_dead_letters_total[10m])) > 0',
              legend: '{{code}}',
            },
            {
              expr: 'sum by (code) (increase(nustream_emitter_rejected_events_total[10m]))',
              legend: 'source {{code}}',
            },
          ],
          width: 8,
          runbook: 'dead-letters',
        },
        {
          title: 'Careful consumers',
          description:
            '1 while a consumer takes one batch at a time, because one came back from a consumer that may have died of it.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          max: 1,
          queries: [{ expr: 'nustream_consumer_careful', legend: '{{instance}}' }],
          width: 8,
          runbook: 'consumers-die',
        },
        {
          title: 'Archive',
          description: 'Predictions that wait for their file, and those written a second.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            { expr: 'nustream_archive_pending_predictions', legend: 'waiting {{instance}}' },
            {
              expr: `rate(nustream_archive_predictions_total${RATE})`,
              legend: 'written a second {{instance}}',
            },
          ],
          width: 8,
          runbook: 'archive-behind',
        },
        {
          title: 'Onlookers',
          description: 'Browsers that look, and messages a second to them.',
          kind: 'timeseries',
          unit: 'short',
          min: 0,
          queries: [
            { expr: 'sum(nustream_display_browsers)', legend: 'browsers' },
            {
              expr: `sum by (outcome) (rate(nustream_display_messages_total${RATE}))`,
              legend: 'messages {{outcome}}',
            },
          ],
          width: 8,
        },
      ],
    },
  ],
}
