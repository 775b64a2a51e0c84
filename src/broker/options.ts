import type { Logger } from 'pino'
import type { RetryReason } from './retry.ts'

/** How to open a broker. Every field has a default. */
export interface BrokerOptions {
  /** Redis: first part of every key. */
  readonly stream?: string
  /** Number of streams that the batches are spread over; the same for every process of one stream. */
  readonly partitions?: number
  /** A lease that its consumer has not renewed for this long goes to another consumer, ms. */
  readonly visibilityMs?: number
  /** Prediction batches kept per partition. A consumer deletes older ones, except what a reader holds (`holdPredictions`). */
  readonly predictionsMax?: number
  /** Dead letters kept per partition. A consumer deletes older ones with a warning; `totals` still counts them. */
  readonly deadLettersMax?: number

  /** Redis: ACL user and password; each takes precedence over the URL. */
  readonly username?: string
  readonly password?: string
  /** Redis with TLS: PEM files of the certificate authority, and of the certificate and key of this client. */
  readonly tlsCaFile?: string
  readonly tlsCertFile?: string
  readonly tlsKeyFile?: string

  readonly log?: Logger
  readonly observer?: BrokerObserver
}

/** Receives what the metrics show. */
export interface BrokerObserver {
  /** A step failed and is tried again. */
  retried(reason: RetryReason): void
  /** Redis: the state of each node that holds a partition, about every ten seconds. Empty once the broker is closed. */
  sawNodes(nodes: readonly RedisNodeState[]): void
}

/** What a Redis node says about itself (INFO). */
export interface RedisNodeState {
  /** `host:port`. */
  readonly node: string
  readonly memoryUsedBytes: number
  /** `maxmemory`; 0 for no limit. */
  readonly memoryMaxBytes: number
  /** The last write of the append-only file or of a snapshot failed. */
  readonly isPersistenceFailing: boolean
  readonly isPrimary: boolean
  readonly connectedReplicas: number
}

/** Times (ms) and bounds that are the same for every user. Tests shorten them. */
export interface BrokerTuning {
  /** Pause between two renewals of a lease. Default: a third of `visibilityMs`. */
  readonly renewMs: number
  /** Redis: opening fails when the server does not answer within this. */
  readonly connectTimeoutMs: number
  /** Redis: a command without an answer for this long is tried again on a new connection. */
  readonly commandTimeoutMs: number
  /** Longest pause between two tries. */
  readonly retryMaxMs: number
  /** Pause between two rounds of trimming. */
  readonly upkeepMs: number
  /** Redis: pause between two looks at the state of the nodes. */
  readonly inspectMs: number
  /** Settled batch ids that are remembered to recognise a repeat, and for how long. */
  readonly settledMax: number
  readonly settledMaxAgeMs: number
  /** A reader that has not called `holdPredictions`, or a group that has not read, for this long delays no trimming. */
  readonly idleMaxMs: number
  /** SQLite: publishing waits while the disk has less room than this (or a tenth of the disk, if that is less). */
  readonly diskFreeMinBytes: number
}

/** What `openBroker` accepts. */
export type OpenOptions = BrokerOptions & Partial<BrokerTuning>

type Connection = 'username' | 'password' | 'tlsCaFile' | 'tlsCertFile' | 'tlsKeyFile' | 'log' | 'observer'

/** Options with every default filled in. */
export type BrokerSettings = BrokerTuning &
  Required<Omit<BrokerOptions, Connection>> &
  Pick<BrokerOptions, Connection>

const DAY_MS = 86_400_000

export const BROKER_DEFAULTS = {
  stream: 'nustream',
  partitions: 1,
  visibilityMs: 30_000,
  predictionsMax: 10_000,
  deadLettersMax: 100_000,
  connectTimeoutMs: 5_000,
  commandTimeoutMs: 10_000,
  retryMaxMs: 2_000,
  upkeepMs: 5_000,
  inspectMs: 10_000,
  settledMax: 1_000_000,
  settledMaxAgeMs: DAY_MS,
  idleMaxMs: DAY_MS,
  diskFreeMinBytes: 64 * 1024 * 1024,
} as const satisfies Partial<BrokerSettings>

export function brokerSettings(options: OpenOptions): BrokerSettings {
  const settings = { ...BROKER_DEFAULTS, ...options }
  return { ...settings, renewMs: options.renewMs ?? settings.visibilityMs / 3 }
}
