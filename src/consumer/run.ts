import type { Logger } from 'pino'
import type { BackoffOptions } from '../async/retry.ts'
import type { ConsumerBroker, Delivery } from '../broker/contract.ts'
import type { PredictionBatch } from '../event/prediction-wire.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { createRepeatLimit, type RepeatLimit } from '../telemetry/log.ts'
import { NO_TRACER, type Tracer } from '../telemetry/tracing.ts'
import { createDriftWatch, type DriftWatch } from './drift.ts'
import type { ConsumerMetrics } from './metrics.ts'
import { ConsumeTally } from './report.ts'
import { createSlots, type Slots } from './slots.ts'

export interface ConsumeOptions {
  readonly broker: ConsumerBroker
  readonly inferrer: Inferrer
  /** Name of this consumer, unique among the living. */
  readonly consumer: string
  /** Batches on loan at once. Some more than the model can hold at once, so that it never waits for the broker. */
  readonly leasesMax: number
  /** Times that a batch is lent before it is put back in parts, and an event before it is given up. */
  readonly attemptsMax: number
  readonly metrics: ConsumerMetrics
  readonly log: Logger
  /** Aborts: take no more, finish what is on loan. */
  readonly signal: AbortSignal
  /** Time to finish what is on loan; what is left is given back. */
  readonly shutdownMs?: number
  /** A call of the model that takes longer accuses its batch. Longer than the inferrer's own deadline. */
  readonly inferTimeoutMs?: number
  /** Failures of the model on a batch before it is halved in memory, and on an event alone before it is given up. */
  readonly modelTriesMax?: number
  readonly backoff?: BackoffOptions
  /** Pause between two looks at the broker's backlog. */
  readonly backlogEveryMs?: number
  /** Counts along, for who wants to look during the run. */
  readonly tally?: ConsumeTally
  /** Looks on as batches are settled, in the consumer's own turn: must be quick and not throw. */
  readonly onSettled?: (facts: SettledFacts) => void
  readonly tracer?: Tracer
}

/** One batch that was settled for the first time. */
export interface SettledFacts {
  readonly predicted: number
  readonly deadLettered: number
  /** From emitted to stored; undefined where the producer did not say when. */
  readonly latencyMs: number | undefined
  readonly predictions: PredictionBatch | undefined
  /** Radians; NaN where there is no truth. [predicted] */
  readonly angularErrors: Float64Array | undefined
}

/** One life of a consumer: its options with defaults, what it counts in, and how it ends. */
export interface Run extends Required<Omit<ConsumeOptions, 'signal'>> {
  readonly slots: Slots
  readonly limit: RepeatLimit
  readonly drift: DriftWatch
  /** The span that the delivery in hand is worked on in. */
  readonly traceparent?: string | undefined
  /** Aborts with the options' signal or a failure: take no more, and stop waiting for a world that is away. */
  readonly stopping: AbortSignal
  /** Aborts `shutdownMs` after `stopping`: give back what is not finished. */
  readonly giveUp: AbortSignal
  /** The first unknown error stops the consumer. */
  fail(error: unknown, delivery: Delivery): void
  /** @throws what `fail` was told */
  throwIfFailed(): void
  end(): void
}

export function createRun(options: ConsumeOptions): Run {
  const { inferrer, log, shutdownMs = 10_000 } = options
  const failed = new AbortController()
  const giveUp = new AbortController()
  const stopping = AbortSignal.any([options.signal, failed.signal])
  let timer: NodeJS.Timeout | undefined
  const startToStop = (): void => {
    log.info({ shutdownMs }, 'stopping')
    timer = setTimeout(() => giveUp.abort(), shutdownMs)
  }
  if (stopping.aborted) startToStop()
  else stopping.addEventListener('abort', startToStop, { once: true })
  const { signal: _, ...given } = options
  return {
    shutdownMs,
    inferTimeoutMs: 120_000,
    modelTriesMax: 3,
    backoff: {},
    backlogEveryMs: 5_000,
    tally: new ConsumeTally(),
    onSettled: () => {},
    tracer: NO_TRACER,
    ...given,
    slots: createSlots(Math.max(1, inferrer.concurrency)),
    limit: createRepeatLimit(),
    drift: createDriftWatch(inferrer, options.metrics),
    stopping,
    giveUp: giveUp.signal,
    fail(error, { batchId, attempt }) {
      log.error({ err: error, batchId, attempt }, 'consumer failed')
      if (!failed.signal.aborted) failed.abort(error)
    },
    throwIfFailed() {
      failed.signal.throwIfAborted()
    },
    end() {
      stopping.removeEventListener('abort', startToStop)
      clearTimeout(timer)
    },
  }
}
