import { Counter, Gauge, type Registry } from 'prom-client'

export type DisplayMetrics = ReturnType<typeof displayMetrics>

/** All metrics of the display. Labels have a fixed set of values. */
export function displayMetrics(registry: Registry) {
  const registers = [registry]
  const metrics = {
    browsers: new Gauge({
      name: 'nustream_display_browsers',
      help: 'Browsers connected to the stream of the page.',
      registers,
    }),
    messages: new Counter({
      name: 'nustream_display_messages_total',
      help: 'Messages to browsers by outcome; a message to a browser that is too slow is dropped.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    drawnEvents: new Counter({
      name: 'nustream_display_drawn_events_total',
      help: 'Sampled events sent to browsers for drawing.',
      registers,
    }),
    batches: new Counter({
      name: 'nustream_display_prediction_batches_total',
      help: 'Batches of predictions by outcome; skipped ones are excluded from latency and error on the page.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    unreadable: new Counter({
      name: 'nustream_display_unreadable_batches_total',
      help: 'Batches of events or predictions that could not be decoded and are not shown.',
      registers,
    }),
  }
  for (const outcome of ['sent', 'dropped'] as const) metrics.messages.inc({ outcome }, 0)
  for (const outcome of ['read', 'skipped'] as const) metrics.batches.inc({ outcome }, 0)
  return metrics
}
