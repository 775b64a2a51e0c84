import { Counter, Gauge, type Registry } from 'prom-client'

export type DisplayMetrics = ReturnType<typeof displayMetrics>

/** Every metric that the display exports. Labels are closed sets. */
export function displayMetrics(registry: Registry) {
  const registers = [registry]
  const metrics = {
    browsers: new Gauge({
      name: 'nustream_display_browsers',
      help: 'Browsers that are connected to the stream of the page.',
      registers,
    }),
    messages: new Counter({
      name: 'nustream_display_messages_total',
      help: 'Messages to browsers by outcome; dropped ones were for a browser that was too slow.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    drawnEvents: new Counter({
      name: 'nustream_display_drawn_events_total',
      help: 'Sampled events that were sent to be drawn.',
      registers,
    }),
    batches: new Counter({
      name: 'nustream_display_prediction_batches_total',
      help: 'Batches of predictions that passed, by outcome; skipped ones are left out of latency and error on the page.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    unreadable: new Counter({
      name: 'nustream_display_unreadable_batches_total',
      help: 'Batches of events or predictions that could not be decoded, and are not shown.',
      registers,
    }),
  }
  for (const outcome of ['sent', 'dropped'] as const) metrics.messages.inc({ outcome }, 0)
  for (const outcome of ['read', 'skipped'] as const) metrics.batches.inc({ outcome }, 0)
  return metrics
}
