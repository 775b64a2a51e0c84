import type { Logger } from 'pino'

/** How to open a broker. Every field has a default; times are milliseconds. */
export interface BrokerOptions {
  /** Redis: first part of every key. */
  readonly stream?: string
  /** Redis: consumer group that the consumers share. */
  readonly group?: string
  /** Streams that the batches are spread over. Every part of one pipeline must say the same. */
  readonly partitions?: number
  /** A loan that its consumer has not renewed for so long is given to another. */
  readonly visibilityMs?: number
  /** Pause between two renewals of a loan; a third of `visibilityMs` unless told. */
  readonly renewMs?: number
  readonly log?: Logger

  /** Redis: ACL user, password and certificate authority (PEM file); each wins over the URL. */
  readonly username?: string
  readonly password?: string
  readonly tlsCaFile?: string
  /** Redis: opening fails when the server does not answer within this. */
  readonly connectTimeoutMs?: number
  /** Redis: opening waits for a server that is away instead of failing. */
  readonly waitForBroker?: boolean
  /** Redis: a command that gets no answer for so long is tried again on a new connection. */
  readonly commandTimeoutMs?: number
  /** Longest pause between two tries while the broker is away or full. */
  readonly retryMaxMs?: number

  /** Prediction batches kept per partition; a consumer lets the oldest go, less what a reader holds (`holdPredictions`). */
  readonly predictionsMax?: number
  /** A consumer lets prediction batches older than this go even when there are few. */
  readonly predictionsMaxAgeMs?: number
  /** Dead letters kept per partition; a consumer lets the oldest go, with a warning. The account keeps counting them. */
  readonly deadLettersMax?: number
  /** Settled batch ids remembered, to recognise a repeat: at most so many, for so long. */
  readonly settledMax?: number
  readonly settledMaxAgeMs?: number
  /** A reader that has not called `holdPredictions`, or a group that has not read, for so long holds nothing up. */
  readonly idleMaxMs?: number
  /** Pause between two rounds of trimming. */
  readonly upkeepMs?: number

  /** SQLite: publishing waits while the disk has less room than this (or a tenth of it, if that is less). */
  readonly diskFreeMinBytes?: number
}

/** Options with every default filled in. */
export type BrokerSettings = Required<
  Omit<BrokerOptions, 'log' | 'username' | 'password' | 'tlsCaFile' | 'predictionsMaxAgeMs'>
> &
  Pick<BrokerOptions, 'log' | 'username' | 'password' | 'tlsCaFile' | 'predictionsMaxAgeMs'>

const DAY_MS = 86_400_000

export const BROKER_DEFAULTS = {
  stream: 'nustream',
  group: 'nustream',
  partitions: 1,
  visibilityMs: 30_000,
  connectTimeoutMs: 5_000,
  waitForBroker: false,
  commandTimeoutMs: 10_000,
  retryMaxMs: 2_000,
  predictionsMax: 10_000,
  deadLettersMax: 100_000,
  settledMax: 1_000_000,
  settledMaxAgeMs: DAY_MS,
  idleMaxMs: DAY_MS,
  upkeepMs: 5_000,
  diskFreeMinBytes: 64 * 1024 * 1024,
} as const satisfies BrokerOptions

export function brokerSettings(options: BrokerOptions): BrokerSettings {
  const settings = { ...BROKER_DEFAULTS, ...options }
  return { ...settings, renewMs: options.renewMs ?? settings.visibilityMs / 3 }
}
