import { availableParallelism } from 'node:os'
import type { Broker } from '../broker/contract.ts'
import { type ConsumeOptions, consume } from '../consumer/consume.ts'
import { consumerMetrics } from '../consumer/metrics.ts'
import type { ConsumeReport } from '../consumer/report.ts'
import { type EmitReport, emit } from '../emitter/emit.ts'
import { emitterMetrics } from '../emitter/metrics.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { openSource, sourceMetrics } from '../source/open.ts'
import type { EventSource } from '../source/source.ts'
import type { Health } from '../telemetry/server.ts'
import { brokerHealth, type Role } from './role.ts'

export interface EmitConfig {
  readonly source: string
  readonly rate: number | 'max'
  readonly batch: number
  readonly events?: number | undefined
  readonly loop: boolean
  readonly run?: string | undefined
  readonly backlogMax: number
  readonly quietMax: number
}

export function openRoleSource(config: EmitConfig, role: Role): Promise<EventSource> {
  return openSource(config.source, { log: role.log, metrics: sourceMetrics(role.registry) })
}

/** Runs the emitter with the settings, until the source or `--events` ends, or the signal aborts. */
export function emitAsConfigured(
  config: EmitConfig,
  role: Role,
  { source, broker, signal }: { source: EventSource; broker: Broker; signal: AbortSignal },
): Promise<EmitReport> {
  return emit({
    source,
    broker,
    rate: config.rate,
    batchEvents: config.batch,
    backlogMaxEvents: config.backlogMax,
    loop: config.loop,
    ...(config.run && { run: config.run }),
    ...(config.events && { eventsMax: config.events }),
    metrics: emitterMetrics(role.registry, config.quietMax),
    tracer: role.tracer,
    log: role.log,
    signal,
  })
}

export interface ConsumeConfig {
  readonly onLoan?: number | undefined
  readonly threads?: number | undefined
  readonly attemptsMax: number
  readonly shutdownMs: number
}

interface ConsumeWork {
  readonly broker: Broker
  readonly inferrer: Inferrer
  readonly signal: AbortSignal
  readonly onSettled?: ConsumeOptions['onSettled'] | undefined
  readonly onModelHealth: NonNullable<ConsumeOptions['onModelHealth']>
}

/** Whether a consumer is ready: broker and model answer. */
export class ConsumerHealth {
  readonly #broker: Broker
  readonly #inferrer: Inferrer
  readonly #details: () => Record<string, unknown>
  #modelProblem: string | undefined

  constructor(broker: Broker, inferrer: Inferrer, details: () => Record<string, unknown>) {
    this.#broker = broker
    this.#inferrer = inferrer
    this.#details = details
  }

  readonly onModelHealth = (problem: string | undefined): void => {
    this.#modelProblem = problem
  }

  readonly read = async (): Promise<Health> => {
    const { servers } = this.#inferrer
    const problem = this.#modelProblem
    const health = await brokerHealth(this.#broker, {
      ...this.#details(),
      ...(servers && { model_servers: servers }),
      ...(problem !== undefined && { model_problem: problem }),
    })
    return { ...health, ready: health.ready && problem === undefined }
  }
}

/** Runs the consumer with the settings, until the signal aborts. */
export function consumeAsConfigured(
  config: ConsumeConfig,
  role: Role,
  { broker, inferrer, signal, onSettled, onModelHealth }: ConsumeWork,
): Promise<ConsumeReport> {
  return consume({
    broker,
    inferrer,
    consumer: role.instance,
    leasesMax:
      config.onLoan ?? Math.max(4, 2 * (config.threads ?? availableParallelism()), inferrer.concurrency),
    attemptsMax: config.attemptsMax,
    shutdownMs: config.shutdownMs,
    metrics: consumerMetrics(role.registry),
    tracer: role.tracer,
    log: role.log,
    signal,
    onModelHealth,
    ...(onSettled && { onSettled }),
  })
}

/** The consumer settings that an MLflow run records. */
export function consumeParams(config: ConsumeConfig & Readonly<Record<string, unknown>>) {
  const {
    model,
    broker,
    stream,
    partitions,
    batch,
    source,
    rate,
    onLoan,
    threads,
    attemptsMax,
    visibilityMs,
  } = config as Readonly<Record<string, string | number | undefined>>
  return {
    model_given: model,
    broker,
    stream,
    partitions,
    source,
    rate,
    batch_events: batch,
    batches_on_loan: onLoan,
    threads,
    attempts_max: attemptsMax,
    visibility_ms: visibilityMs,
  }
}
