/**
 * What happens next after an error:
 * `reject` the event (or batch) cannot be processed and becomes a dead letter;
 * `retry` something outside is away for now: try again with back-off, no event is at fault;
 * `stop` the program or its configuration is wrong, nothing sensible can follow.
 */
export type Disposition = 'reject' | 'retry' | 'stop'

/** Base of every error that nustream throws on purpose. `code` is stable and listed in docs/errors.md. */
export abstract class NustreamError extends Error {
  abstract readonly code: string
  abstract readonly disposition: Disposition

  override get name(): string {
    return this.constructor.name
  }
}

/** An event or a batch that cannot be processed, however often it is tried. */
export class EventError extends NustreamError {
  readonly disposition = 'reject'
  readonly code: EventErrorCode

  constructor(code: EventErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Closed set of reasons for a dead letter. */
export const EVENT_ERROR_CODES = [
  'wire_unreadable', // not an Arrow IPC stream, or truncated
  'wire_version_unknown', // a schema version that this build does not read
  'wire_schema_mismatch', // a column is missing or has another type
  'batch_too_large', // more events or bytes than a consumer takes at once
  'wire_offsets_invalid', // offsets that descend, or lists of one event that differ in length
  'event_without_pulses',
  'event_id_repeated', // a second event with the same id in one batch
  'sensor_id_unknown',
  'detector_unknown', // the batch names another detector
  'time_not_finite',
  'charge_not_finite',
  'charge_not_positive',
  'auxiliary_not_boolean',
  'source_value_invalid', // a value in the source that the event form cannot hold
  'model_output_invalid', // the model answered NaN, infinity or a null vector
  'model_failed', // the model fails on this event alone, every time
  'batch_id_invalid', // not UTF-8, or too long
  'attempts_exhausted', // consumers died while they held this event
] as const
export type EventErrorCode = (typeof EVENT_ERROR_CODES)[number]

/** Something outside is unavailable for now: Redis gone, model server overloaded, disk full. */
export class UnavailableError extends NustreamError {
  readonly disposition = 'retry'
  readonly code: UnavailableCode
  /** Seconds after which the other side asked to be tried again, where it said so. */
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: UnavailableCode,
    message: string,
    options?: ErrorOptions & { retryAfterSeconds?: number },
  ) {
    super(message, options)
    this.code = code
    this.retryAfterSeconds = options?.retryAfterSeconds
  }
}

export const UNAVAILABLE_CODES = [
  'broker_unreachable',
  'broker_refuses_writes', // out of memory, disk full, read-only replica
  'model_unreachable',
  'model_overloaded',
  'model_worker_died',
  'model_cache_full', // no room on the disk for a model of the registry
  'unauthorized', // a model server does not take the token any more
  'source_unavailable',
  'mlflow_unreachable', // away, too slow, failing, or answering nonsense
] as const
export type UnavailableCode = (typeof UNAVAILABLE_CODES)[number]

/** The request, file, folder or flag is wrong: say which value and what would be right, then stop. */
export class UsageError extends NustreamError {
  readonly disposition = 'stop'
  readonly code: UsageCode

  constructor(code: UsageCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export const USAGE_CODES = [
  'flag_invalid',
  'config_invalid',
  'source_unknown',
  'source_missing',
  'source_unreadable', // a Parquet file that is truncated or lacks a column
  'broker_url_invalid',
  'broker_read_only',
  'broker_file_missing', // deleted or replaced while it was in use
  'model_missing',
  'model_manifest_invalid',
  'model_parity_failed',
  'model_unreadable',
  'model_trial_failed', // a release that fails on events which the one before could do
  'port_taken',
  'run_taken', // another emitter publishes the same run
  'run_lost', // the broker has lost more of a run than can be published again
  'unauthorized',
  'mlflow_refused', // the tracking server understood and said no
] as const
export type UsageCode = (typeof USAGE_CODES)[number]

/** What happens next to whatever was being done when `error` was thrown. Unknown errors stop the program. */
export function dispositionOf(error: unknown): Disposition {
  return error instanceof NustreamError ? error.disposition : 'stop'
}
