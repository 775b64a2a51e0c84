import type { Logger } from 'pino'
import { abortLater, sleep, untilAborted } from '../async/deadline.ts'
import type { EmitterBroker } from '../broker/contract.ts'
import { UsageError } from '../errors.ts'
import type { EventSource } from '../source/source.ts'
import { createRepeatLimit } from '../telemetry/log.ts'
import { NO_TRACER, type Tracer } from '../telemetry/tracing.ts'
import { createBacklogGate } from './backlog-gate.ts'
import { createPacer, formBatches } from './batches.ts'
import type { EmitterMetrics } from './metrics.ts'
import { Publisher } from './publisher.ts'
import { republish } from './recovery.ts'
import { checkRunName, type RunStart, toRunStart } from './run.ts'

/** Events that travel together at most, unless told otherwise. */
export const BATCH_EVENTS = 256

/**
 * Events that the broker may hold before publishing pauses, unless told otherwise: half a minute of the detector's 3,000
 * events/s. Kubernetes adds a consumer for every 12 batches that wait, up to 16, so at least as many must be able to wait
 * (docs/scaling.md has the sum).
 */
export const BACKLOG_MAX_EVENTS = 100_000

export interface EmitOptions {
  readonly source: EventSource
  readonly broker: EmitterBroker
  /**
   * Name of the run. A named run that is finished does nothing more. Without one the run is named by the source's
   * spec, and begins anew once it has finished.
   */
  readonly run?: string
  /** Events per second with random gaps (a Poisson process), or as fast as possible. */
  readonly rate: number | 'max'
  /** Events that travel together at most. Default `BATCH_EVENTS`. */
  readonly batchEvents?: number
  /** Longest that the first event of a batch waits for others. Default 100 ms. */
  readonly lingerMs?: number
  /** Events of the whole run, rejected ones and those before a restart included. */
  readonly eventsMax?: number
  /** Publishing pauses while the broker holds more events than this. Default `BACKLOG_MAX_EVENTS`. */
  readonly backlogMaxEvents?: number
  readonly loop?: boolean
  /** Of the random gaps. */
  readonly seed?: number
  readonly metrics?: EmitterMetrics
  readonly tracer?: Tracer
  readonly log?: Logger
  readonly signal: AbortSignal
}

/** What one start of the emitter did. */
export interface EmitReport {
  readonly run: string
  readonly begun: RunStart['how']
  /** `aborted`: a later start continues where this one stopped. */
  readonly ended: 'done' | 'aborted'
  /** Events published by this start, rejected ones included. */
  readonly emitted: number
  readonly rejected: number
  readonly batches: number
  readonly pulses: number
  /** Events of the run, all starts together. */
  readonly emittedByRun: number
  readonly seconds: number
}

const BATCH_PULSES_MAX = 262_144
/** After a stop the batch that is being published has so long to be stored. */
const STOP_WITHIN_MS = 2_000
/**
 * Setbacks in a row, with nothing published in between: the broker lost batches, or holds a batch that this emitter did not
 * send. One comes from a predecessor whose last batch arrived after its death, or from a fail-over.
 */
const SETBACKS_MAX = 3

/**
 * The emitter: source to broker, in order, at a rate. Each batch is stored together with the place that follows it, so
 * the next start continues with the first event that is not stored, whenever this one ends: no event is lost or repeated.
 * Batches that the broker loses in a fail-over are made from the source again (recovery.ts).
 * @throws UsageError `flag_invalid` when the run's name is too long, `run_taken` when another emitter publishes the same run, `run_lost` when lost batches cannot be made
 * again, and whatever the source throws
 */
export async function emit(options: EmitOptions): Promise<EmitReport> {
  const { source, broker, metrics, log, signal } = options
  const run = options.run ?? source.spec
  checkRunName(run)
  const startMs = performance.now()
  const publisher = new Publisher({
    broker,
    run,
    spec: source.spec,
    chunkEvents: options.batchEvents ?? BATCH_EVENTS,
    metrics,
    tracer: options.tracer ?? NO_TRACER,
    signal: abortLater(signal, STOP_WITHIN_MS),
  })
  let ended: EmitReport['ended'] = 'done'
  try {
    await publishRun(options, publisher)
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
    ended = 'aborted'
  } finally {
    metrics?.ended()
  }
  const { sum, start, emitted } = publisher
  const seconds = (performance.now() - startMs) / 1000
  log?.info({ run, ended, ...sum, emittedByRun: emitted, seconds }, 'emitter ends')
  return { run, begun: start.how, ended, ...sum, emittedByRun: emitted, seconds }
}

/** Ends when the source has ended and the broker holds every batch. @throws the signal's reason when aborted */
async function publishRun(options: EmitOptions, publisher: Publisher): Promise<void> {
  const { source, broker, log, signal, loop = false, batchEvents = BATCH_EVENTS } = options
  const { run } = publisher
  let hasLost = false
  for (let setbacks = 0; setbacks <= SETBACKS_MAX; setbacks++) {
    const standing = await untilAborted(broker.position(run), signal)
    hasLost = standing?.lost !== undefined
    if (standing?.lost) {
      log?.warn({ run, batches: standing.lost.length }, 'the broker lost batches, publishing them again')
      await republish(standing.lost, { source, broker, chunkEvents: batchEvents, loop, signal })
      continue
    }
    if (publisher.isDone && standing?.sequence === publisher.sequence) return
    const start = toRunStart(standing, { run, spec: source.spec, isNamed: options.run !== undefined })
    publisher.begin(start)
    log?.info(
      { run, source: source.spec, begun: start.how, emitted: start.emitted, batches: start.sequence },
      start.how === 'finished' ? 'run is finished, nothing to emit' : 'emitter begins',
    )
    if (start.how === 'finished') return
    const outcome = await publishBatches(options, publisher)
    if (publisher.sequence > start.sequence) setbacks = -1
    if (outcome === 'overtaken')
      log?.warn({ run }, 'the broker holds other batches of the run, continuing after them')
  }
  if (hasLost)
    throw new UsageError(
      'run_lost',
      `run ${run} cannot continue: the broker loses batches again after they are published again`,
    )
  throw new UsageError(
    'run_taken',
    `run ${run} is being published by another emitter; stop one, or give it a --run of its own`,
  )
}

async function publishBatches(options: EmitOptions, publisher: Publisher): Promise<'stored' | 'overtaken'> {
  const { broker, metrics, log, signal, rate, eventsMax = Number.POSITIVE_INFINITY } = options
  const backlogMaxEvents = options.backlogMaxEvents ?? BACKLOG_MAX_EVENTS
  const gate = createBacklogGate({ broker, backlogMaxEvents, metrics, log, signal })
  const batches = formBatches({
    source: options.source,
    place: publisher.start.place,
    eventsLeft: eventsMax - publisher.emitted,
    loop: options.loop ?? false,
    eventsMax: options.batchEvents ?? BATCH_EVENTS,
    pulsesMax: BATCH_PULSES_MAX,
    lingerMs: options.lingerMs ?? 100,
    pacer: createPacer(rate, () => performance.now(), options.seed),
    signal,
  })
  const limit = createRepeatLimit()
  for await (const batch of batches) {
    if (rate !== 'max') metrics?.waiting(batch.readyMs)
    await gate.pass(batch.events)
    const waitMs = batch.readyMs - performance.now()
    if (waitMs > 0) await sleep(waitMs, signal)
    signal.throwIfAborted()
    const isLast = publisher.emitted + batch.events + batch.rejected.length >= eventsMax
    if ((await publisher.publish(batch, isLast)) === 'overtaken') return 'overtaken'
    for (const { eventId, code, message } of batch.rejected) {
      const facts = { code, eventId: eventId?.toString(), reason: message }
      limit(code, (repeats) => log?.warn({ ...facts, repeats }, 'event of the source became a dead letter'))
    }
    signal.throwIfAborted()
  }
  return publisher.isDone ? 'stored' : publisher.finish()
}
