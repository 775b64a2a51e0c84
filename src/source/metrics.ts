import { Counter, type Registry } from 'prom-client'

export interface SourceMetrics {
  /** A file of a watched folder was emitted whole, or turned out broken. */
  file(outcome: 'emitted' | 'broken'): void
}

/** Metrics of sources that read files as they come. */
export function sourceMetrics(registry: Registry): SourceMetrics {
  const files = new Counter({
    name: 'nustream_source_files_total',
    help: 'Files of a watched folder by outcome: emitted whole, or broken (tried again when they change).',
    labelNames: ['outcome'],
    registers: [registry],
  })
  for (const outcome of ['emitted', 'broken'] as const) files.inc({ outcome }, 0)
  return { file: (outcome) => files.inc({ outcome }) }
}
