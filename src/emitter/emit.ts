import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { EmitterBroker, RunPosition } from '../broker/contract.ts'
import { UsageError } from '../errors.ts'
import type { EventSource } from '../source/source.ts'
import { NO_TRACER, type Tracer } from '../telemetry/tracing.ts'
import { createBacklogGate } from './backlog-gate.ts'
import { type FormOptions, formBatches } from './form-batches.ts'
import type { EmitterMetrics } from './metrics.ts'
import { createPacer } from './pacing.ts'
import { Publisher } from './publisher.ts'
import { republish } from './republish.ts'
import { type RunStart, toRunStart } from './run.ts'
import { settledOrAborted } from './settled-or-aborted.ts'

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
  /** Events that travel together at most. */
  readonly batchEvents?: number
  /** Longest that the first event of a batch waits for company. */
  readonly lingerMs?: number
  /** Events of the whole run, rejected ones and those before a restart included. */
  readonly eventsMax?: number
  /** Publishing pauses while the broker holds more events than this. */
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
  /** `aborted`: a later start goes on where this one stopped. */
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
const BATCH_EVENTS = 256
/**
 * A batch of a predecessor can arrive after its death, once, and a fail-over can take batches back; more often than that
 * in a row, with nothing published in between, it is another emitter that lives.
 */
const OVERTAKEN_MAX = 3

/**
 * The emitter: source to broker, in order, at a rate. Each batch is stored together with the place that follows it, so
 * whenever it dies, the next start goes on with the first event that is not stored: none is lost, none comes twice.
 * Batches that the broker loses in a fail-over are made of the source again.
 * @throws UsageError `run_taken` when another emitter publishes the same run, `run_lost` when lost batches cannot be made
 * again, and whatever the source throws
 */
export async function emit(options: EmitOptions): Promise<EmitReport> {
  const { source, broker, log, signal } = options
  const run = options.run ?? source.spec
  const startMs = performance.now()
  const sum = { emitted: 0, rejected: 0, batches: 0, pulses: 0 }
  for (let overtaken = 0; overtaken <= OVERTAKEN_MAX; overtaken++) {
    const stored = await standing(options, run)
    const start = toRunStart(stored, { run, spec: source.spec, isNamed: options.run !== undefined })
    log?.info(
      { run, source: source.spec, begun: start.how, emitted: start.emitted, batches: start.sequence },
      start.how === 'finished' ? 'run is finished, nothing to emit' : 'emitter begins',
    )
    const { metrics, tracer = NO_TRACER, batchEvents: chunkEvents = BATCH_EVENTS } = options
    const deps = { broker, spec: source.spec, chunkEvents, metrics, tracer, signal }
    const publisher = new Publisher(deps, start, sum)
    const ended =
      start.how === 'finished' ? 'done' : signal.aborted ? 'aborted' : await publishAll(options, publisher)
    if (ended === 'aborted' || (ended === 'done' && (await isAllThere(options, publisher)))) {
      const seconds = (performance.now() - startMs) / 1000
      log?.info({ run, ended, ...sum, emittedByRun: publisher.emitted, seconds }, 'emitter ends')
      return { run, begun: start.how, ended, ...sum, emittedByRun: publisher.emitted, seconds }
    }
    log?.warn({ run }, 'the broker holds other batches of the run than were thought; going on after them')
    if (publisher.sequence > start.sequence) overtaken = 0
  }
  throw new UsageError(
    'run_taken',
    `run ${run} is being published by another emitter; stop one, or give it a --run of its own`,
  )
}

/**
 * Where the run stands, with every batch before that in the broker: what a fail-over has lost is published again first.
 * Undefined for a new run, and when aborted.
 */
async function standing(options: EmitOptions, run: string): Promise<RunPosition | undefined> {
  const { source, broker, log, signal, loop = false, batchEvents = BATCH_EVENTS } = options
  for (let tries = 0; tries <= OVERTAKEN_MAX; tries++) {
    const stored = await settledOrAborted(broker.position(run), signal)
    if (!stored?.lost) return stored
    log?.warn({ run, batches: stored.lost.length }, 'publishing again what the broker has lost')
    await republish(stored.lost, { source, broker, chunkEvents: batchEvents, loop, signal })
    if (signal.aborted) return undefined
  }
  throw new UsageError('run_lost', `run ${run} cannot go on: the broker loses again what is published again`)
}

/** The last batches may have been lost after they were stored, with none published after them to notice it. */
async function isAllThere(options: EmitOptions, { start, sequence }: Publisher): Promise<boolean> {
  const stored = await standing(options, start.run)
  return stored?.sequence === sequence || options.signal.aborted
}

async function publishAll(
  options: EmitOptions,
  publisher: Publisher,
): Promise<'done' | 'aborted' | 'overtaken'> {
  const { broker, metrics, log, signal, eventsMax = Number.POSITIVE_INFINITY } = options
  const gate = createBacklogGate({
    broker,
    backlogMaxEvents: options.backlogMaxEvents ?? 100_000,
    metrics,
    log,
    signal,
  })
  const batches = formBatches(toFormOptions(options, publisher.start, eventsMax - publisher.emitted))
  try {
    for (;;) {
      const { value, done } = await batches.next()
      if (signal.aborted) return 'aborted'
      if (done) {
        if (!value) return 'aborted'
        const outcome = publisher.isDone ? 'stored' : await publisher.finish()
        return outcome === 'stored' ? 'done' : outcome
      }
      await gate.pass(value.events)
      await waitUntil(value.readyMs, signal)
      if (signal.aborted) return 'aborted'
      const isDone = publisher.emitted + value.events + value.rejected.length >= eventsMax
      const outcome = await publisher.publish(value, isDone)
      if (outcome !== 'stored') return outcome
    }
  } finally {
    await batches.return(false)
  }
}

function toFormOptions(options: EmitOptions, start: RunStart, eventsLeft: number): FormOptions {
  return {
    source: options.source,
    place: start.place,
    eventsLeft,
    loop: options.loop ?? false,
    eventsMax: options.batchEvents ?? BATCH_EVENTS,
    pulsesMax: BATCH_PULSES_MAX,
    lingerMs: options.lingerMs ?? 100,
    pacer: createPacer(options.rate, () => performance.now(), options.seed),
    signal: options.signal,
  }
}

async function waitUntil(ms: number, signal: AbortSignal): Promise<void> {
  const waitMs = ms - performance.now()
  if (waitMs > 0) await sleep(waitMs, undefined, { signal }).catch(() => undefined)
}
