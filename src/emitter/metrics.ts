import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { RunPosition } from '../broker/contract.ts'
import type { EventErrorCode } from '../errors.ts'

/** What one published batch held. */
export interface Published {
  readonly events: number
  readonly pulses: number
  /** Reasons of the events that the source could not read. */
  readonly rejected: readonly EventErrorCode[]
  readonly seconds: number
  /** How long after its due time the batch was published. */
  readonly behindSeconds: number
  readonly position: RunPosition
}

export interface EmitterMetrics {
  published(batch: Published): void
  paused(seconds: number): void
}

// 0.5 ms (embedded) to 30 s (a broker that was away): publishing waits for the broker.
const PUBLISH_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30]

/** Every metric of the emitter. Labels are closed sets. */
export function emitterMetrics(registry: Registry): EmitterMetrics {
  const registers = [registry]
  const counter = (name: string, help: string) => new Counter({ name, help, registers })
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
  const events = counter('nustream_emitter_events_total', 'Events published.')
  const pulses = counter('nustream_emitter_pulses_total', 'Pulses of the events published.')
  const rejected = new Counter({
    name: 'nustream_emitter_rejected_events_total',
    help: 'Events that the source could not read, by reason; each became a dead letter.',
    labelNames: ['code'],
    registers,
  })
  for (const code of ['source_value_invalid', 'event_id_repeated'] satisfies EventErrorCode[]) {
    rejected.inc({ code }, 0)
  }
  const publishing = new Histogram({
    name: 'nustream_emitter_publish_seconds',
    help: 'Time for the broker to take a batch, waiting for a broker that is away included; its count is the batches.',
    buckets: PUBLISH_SECONDS,
    registers,
  })
  const paused = counter(
    'nustream_emitter_paused_seconds_total',
    'Time that the emitter waited because the broker held too many events.',
  )
  const behind = gauge(
    'nustream_emitter_behind_seconds',
    'How far behind its schedule the last batch was published; 0 at the rate max.',
  )
  const batches = gauge(
    'nustream_emitter_run_batches',
    'Batches of the run so far, those before a restart included.',
  )
  const emitted = gauge(
    'nustream_emitter_run_events',
    'Events of the run so far, those before a restart included.',
  )
  return {
    published: (batch) => {
      events.inc(batch.events)
      pulses.inc(batch.pulses)
      for (const code of batch.rejected) rejected.inc({ code })
      publishing.observe(batch.seconds)
      behind.set(batch.behindSeconds)
      batches.set(batch.position.sequence)
      emitted.set(batch.position.emitted)
    },
    paused: (seconds) => paused.inc(seconds),
  }
}
