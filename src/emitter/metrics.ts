import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { RunPosition } from '../broker/contract.ts'
import type { EventErrorCode } from '../errors.ts'
import { STEP_BUCKETS_SECONDS } from '../telemetry/buckets.ts'

/** What one published batch held. */
export interface Published {
  readonly events: number
  readonly pulses: number
  /** Reasons of the events that the source could not read. */
  readonly rejected: readonly EventErrorCode[]
  readonly seconds: number
  readonly position: RunPosition
}

export interface EmitterMetrics {
  /** A batch of a schedule waits to be published; its last event is due at `readyMs`, ms of `performance.now()`. */
  waiting(readyMs: number): void
  published(batch: Published): void
  paused(seconds: number): void
  /** No more events are to come. */
  ended(): void
}

/** The delay of the last batch is shown for so long after it was published; a source that gives no events is not behind. */
const DELAY_SHOWN_MS = 10_000

/**
 * Every metric of the emitter. Labels are closed sets. `quietMaxSeconds` is the longest time that the source may go without an
 * event; 0 for a source that may be quiet for ever.
 */
export function emitterMetrics(registry: Registry, quietMaxSeconds = 0): EmitterMetrics {
  const registers = [registry]
  const counter = (name: string, help: string) => new Counter({ name, help, registers })
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
  const events = counter('nustream_emitter_events_total', 'Events published.')
  const pulses = counter('nustream_emitter_pulses_total', 'Pulses of the events published.')
  const rejected = rejectedCounter(registry)
  const publishing = new Histogram({
    name: 'nustream_emitter_publish_seconds',
    help: 'Time for the broker to take a batch, waiting for a broker that is away included; its count is the batches.',
    buckets: STEP_BUCKETS_SECONDS,
    registers,
  })
  const paused = counter(
    'nustream_emitter_paused_seconds_total',
    'Time that the emitter waited because the broker held too many events.',
  )
  const schedule = createSchedule()
  new Gauge({
    name: 'nustream_emitter_behind_seconds',
    help: 'How long the batch that waits to be published has been due, or how late the last one was; 0 at the rate max.',
    registers,
    collect() {
      this.set(schedule.behindSeconds())
    },
  })
  const lastEvent = gauge(
    'nustream_emitter_last_event_timestamp_seconds',
    'Unix time when events were last published; the start of the emitter before the first.',
  )
  const quietMax = gauge(
    'nustream_emitter_quiet_max_seconds',
    'Longest time without an event that is expected of the source; 0 where it may be quiet for ever, or has ended.',
  )
  lastEvent.setToCurrentTime()
  quietMax.set(quietMaxSeconds)
  const batches = gauge(
    'nustream_emitter_run_batches',
    'Batches of the run so far, those before a restart included.',
  )
  const emitted = gauge(
    'nustream_emitter_run_events',
    'Events of the run so far, those before a restart included.',
  )
  return {
    waiting: schedule.waiting,
    published: (batch) => {
      events.inc(batch.events)
      pulses.inc(batch.pulses)
      for (const code of batch.rejected) rejected.inc({ code })
      publishing.observe(batch.seconds)
      schedule.published()
      if (batch.events + batch.rejected.length > 0) lastEvent.setToCurrentTime()
      batches.set(batch.position.sequence)
      emitted.set(batch.position.emitted)
    },
    paused: (seconds) => paused.inc(seconds),
    ended: () => {
      schedule.ended()
      quietMax.set(0)
    },
  }
}

function rejectedCounter(registry: Registry) {
  const counter = new Counter({
    name: 'nustream_emitter_rejected_events_total',
    help: 'Events that the source could not read, by reason; each became a dead letter.',
    labelNames: ['code'],
    registers: [registry],
  })
  for (const code of ['source_value_invalid', 'event_id_repeated'] satisfies EventErrorCode[]) {
    counter.inc({ code }, 0)
  }
  return counter
}

/** How far the emitter is behind its schedule at any moment. */
function createSchedule() {
  let waitingSinceMs: number | undefined
  let last = { delayMs: 0, atMs: Number.NEGATIVE_INFINITY }
  const since = (ms: number) => Math.max(0, performance.now() - ms)
  return {
    waiting(readyMs: number): void {
      waitingSinceMs = readyMs
    },
    published(): void {
      if (waitingSinceMs !== undefined) last = { delayMs: since(waitingSinceMs), atMs: performance.now() }
      waitingSinceMs = undefined
    },
    ended(): void {
      waitingSinceMs = undefined
      last = { delayMs: 0, atMs: 0 }
    },
    behindSeconds(): number {
      if (waitingSinceMs !== undefined) return since(waitingSinceMs) / 1000
      return since(last.atMs) > DELAY_SHOWN_MS ? 0 : last.delayMs / 1000
    },
  }
}
