import type { Logger } from 'pino'
import { OutOfTime, within } from '../async/deadline.ts'
import type { BackoffOptions } from '../async/retry.ts'
import { Signal } from '../async/signal.ts'
import type { Broker, Delivery } from '../broker/contract.ts'
import { UnavailableError } from '../errors.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { NO_TRACER, type Tracer } from '../telemetry/tracing.ts'
import type { ConsumerMetrics } from './metrics.ts'
import { BatchProcessor } from './process-batch.ts'
import { ConsumeRecord } from './record.ts'
import { type ConsumeReport, ConsumeTally, type SettledBatch } from './report.ts'
import { watchBacklog, watchModel } from './watch.ts'

export interface ConsumeOptions {
  readonly broker: Broker
  readonly inferrer: Inferrer
  /** Name of this consumer, unique among the living. */
  readonly consumer: string
  /** Batches leased at once. Some more than the model can hold at once, so that it never waits for the broker. */
  readonly leasesMax: number
  /** Deliveries of a batch before it is put back in parts, and of an event before it becomes a dead letter. */
  readonly attemptsMax: number
  readonly metrics: ConsumerMetrics
  readonly log: Logger
  /** Aborts: take no more, finish what is leased. */
  readonly signal: AbortSignal
  /** Time to finish what is leased; the rest is given back. Default 10 s. */
  readonly shutdownMs?: number
  /** Bound of one call of the model. Longer than the inferrer's own deadlines. Default 15 min. */
  readonly answerWithinMs?: number
  /** Pauses between two calls of a model that is away. */
  readonly backoff?: BackoffOptions
  /** Time between two readings of the broker's backlog, and between two checks of the model. Default 5 s. */
  readonly watchEveryMs?: number
  /** Counts what is done, for a report during the run. */
  readonly tally?: ConsumeTally
  /** Called for each batch that was settled for the first time, within the consumer's work: must be quick, must not throw. */
  readonly onSettled?: (batch: SettledBatch) => void
  /** Called when the model can no longer be asked, with the reason, and with undefined when it can again. */
  readonly onModelHealth?: (problem: string | undefined) => void
  readonly tracer?: Tracer
}

/**
 * Takes batches from the broker, asks the model, and stores each event's prediction or dead letter in the step that
 * settles its batch, until `signal` aborts. Then finishes what is leased within `shutdownMs` and gives the rest back.
 * A broker or model that is away is waited for; an unknown error stops the consumer, and its batch comes back through
 * the broker in parts.
 * @throws the unknown error
 */
export async function consume(options: ConsumeOptions): Promise<ConsumeReport> {
  const { broker, metrics, log, consumer, inferrer, leasesMax } = options
  const tally = options.tally ?? new ConsumeTally()
  const life = startLife(options)
  const record = new ConsumeRecord({
    inferrer,
    metrics,
    tally,
    log,
    onSettled: options.onSettled ?? (() => {}),
    onModelHealth: options.onModelHealth ?? (() => {}),
  })
  const processor = new BatchProcessor({
    broker,
    inferrer,
    consumer,
    attemptsMax: options.attemptsMax,
    answerWithinMs: options.answerWithinMs ?? 900_000,
    backoff: options.backoff ?? {},
    record,
    tracer: options.tracer ?? NO_TRACER,
    stopping: life.stopping,
    giveUp: life.giveUp,
  })
  const taker = { broker, consumer, leasesMax, metrics, log, life, processor }
  const everyMs = options.watchEveryMs ?? 5_000
  watchBacklog({ broker, metrics, everyMs, signal: life.ended })
  watchModel({ inferrer, onChecked: (problem) => record.modelChecked(problem), everyMs, signal: life.ended })
  log.info({ consumer, model: inferrer.model, leasesMax }, 'consuming')
  try {
    let careful = false
    while (!life.stopping.aborted) {
      metrics.careful.set(careful ? 1 : 0)
      careful = (await takeUntilTurn(taker, careful)) === 'careful'
    }
  } finally {
    life.end()
  }
  const report = tally.report({ gaveUp: life.giveUp.aborted })
  log.info({ report }, 'stopped')
  life.throwIfFailed()
  return report
}

/** How a consumer comes to its end. */
interface Life {
  /** Aborts with the options' signal or a failure: take no more, and stop waiting for a model that is away. */
  readonly stopping: AbortSignal
  /** Aborts `shutdownMs` after `stopping`: give back what is not finished. */
  readonly giveUp: AbortSignal
  /** Aborts when the consumer has ended. */
  readonly ended: AbortSignal
  /** The first unknown error stops the consumer. */
  fail(error: unknown, delivery: Delivery): void
  /** @throws what `fail` was told */
  throwIfFailed(): void
  end(): void
}

function startLife({ signal, shutdownMs = 10_000, log }: ConsumeOptions): Life {
  const failed = new AbortController()
  const giveUp = new AbortController()
  const ended = new AbortController()
  const stopping = AbortSignal.any([signal, failed.signal])
  let timer: NodeJS.Timeout | undefined
  const startToStop = (): void => {
    log.info({ shutdownMs }, 'stopping')
    timer = setTimeout(() => giveUp.abort(), shutdownMs)
  }
  if (stopping.aborted) startToStop()
  else stopping.addEventListener('abort', startToStop, { once: true })
  return {
    stopping,
    giveUp: giveUp.signal,
    ended: ended.signal,
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
      ended.abort()
    },
  }
}

interface Taker extends Pick<ConsumeOptions, 'broker' | 'consumer' | 'leasesMax' | 'metrics' | 'log'> {
  readonly life: Life
  readonly processor: BatchProcessor
}

/** After so many batches in a row that come for the first time, several are taken at once again. */
const CALM_BATCHES = 4

/**
 * Takes deliveries until stopped, or until the other way of taking them is due, which it returns.
 * A batch that was leased before may have ended the consumer that held it. It is taken `careful`ly, as the only lease, so
 * that another death counts as an attempt of this batch alone and not of others.
 */
async function takeUntilTurn(taker: Taker, careful: boolean): Promise<'careful' | 'usual'> {
  const { broker, consumer, metrics, life } = taker
  const leasesMax = careful ? 1 : taker.leasesMax
  const turn = new AbortController()
  const signal = AbortSignal.any([life.stopping, turn.signal])
  const held = new Set<Promise<void>>()
  const freed = new Signal()
  let calm = 0
  for await (const delivery of broker.deliveries({ consumer, leasesMax, signal })) {
    const isFirst = delivery.attempt === 1
    if (!careful && !isFirst) turn.abort()
    if (signal.aborted) {
      await giveBack(delivery, taker)
      continue
    }
    metrics.onLoan.inc()
    const done = take(delivery, taker).finally(() => {
      held.delete(done)
      metrics.onLoan.dec()
      freed.notify()
    })
    held.add(done)
    while (held.size >= leasesMax) await freed.wait()
    calm = isFirst ? calm + 1 : 0
    if (careful && calm >= CALM_BATCHES) turn.abort()
  }
  await Promise.all(held)
  return turn.signal.aborted && !careful ? 'careful' : 'usual'
}

/** Brings one delivery to its end: settled, put back in parts, given back, or the end of the consumer. Never throws. */
async function take(delivery: Delivery, taker: Taker): Promise<void> {
  const { life, processor, log } = taker
  try {
    await processor.process(delivery)
  } catch (error) {
    if (isInterruption(error, life)) return await giveBack(delivery, taker)
    life.fail(error, delivery)
    try {
      await within(() => processor.putBack(delivery, error), RELEASE_WITHIN_MS)
    } catch (err) {
      log.warn({ err, batchId: delivery.batchId }, 'batch not put back, it comes back by itself')
    }
  }
}

/** Whether the work was broken off by the end of this consumer, and not by an error of its own. */
function isInterruption(error: unknown, { stopping, giveUp }: Life): boolean {
  if (giveUp.aborted) return true
  if (!stopping.aborted) return false
  if (error === stopping.reason || error instanceof UnavailableError || error instanceof OutOfTime)
    return true
  return error instanceof Error && error.name === 'AbortError'
}

/** The lease of a batch that a broker away cannot take back ends with its visibility timeout. */
const RELEASE_WITHIN_MS = 2_000

async function giveBack(delivery: Delivery, { broker, metrics, log }: Taker): Promise<void> {
  try {
    await within(() => broker.release(delivery), RELEASE_WITHIN_MS)
    metrics.releases.inc()
  } catch (error) {
    log.warn({ err: error, batchId: delivery.batchId }, 'batch not given back, it comes back by itself')
  }
}
