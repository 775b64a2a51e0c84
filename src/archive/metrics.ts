import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export type ArchiveMetrics = ReturnType<typeof archiveMetrics>

/** Every metric that the archive exports. Labels are closed sets. */
export function archiveMetrics(registry: Registry) {
  const registers = [registry]
  const metrics = {
    predictions: new Counter({
      name: 'nustream_archive_predictions_total',
      help: 'Predictions that are in a finished file.',
      registers,
    }),
    unreadable: new Counter({
      name: 'nustream_archive_unreadable_batches_total',
      help: 'Stored prediction batches that could not be decoded, and are in no file.',
      registers,
    }),
    repeats: new Counter({
      name: 'nustream_archive_repeated_batches_total',
      help: 'Prediction batches that the folder held already, from a stream that the broker has lost.',
      registers,
    }),
    fileEvents: new Histogram({
      name: 'nustream_archive_file_events',
      help: 'Predictions in a file.',
      buckets: [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000], // one to a million
      registers,
    }),
    writeSeconds: new Histogram({
      name: 'nustream_archive_write_seconds',
      help: 'Writing a file until it is safe on disk.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10], // 5 ms to 10 s
      registers,
    }),
    retries: new Counter({
      name: 'nustream_archive_retries_total',
      help: 'Files that could not be written and were tried again.',
      registers,
    }),
    pending: new Gauge({
      name: 'nustream_archive_pending_predictions',
      help: 'Predictions read that wait for their file.',
      registers,
    }),
    due: new Gauge({
      name: 'nustream_archive_due_timestamp_seconds',
      help: 'Unix time by which the predictions that wait should be in a file; 0 while none wait.',
      registers,
    }),
    lastFile: new Gauge({
      name: 'nustream_archive_last_file_timestamp_seconds',
      help: 'Unix time when the last file was finished.',
      registers,
    }),
  }
  return metrics
}
