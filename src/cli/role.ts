import { availableParallelism } from 'node:os'
import type { Logger } from 'pino'
import { Registry } from 'prom-client'
import type { Broker, ReaderBroker } from '../broker/contract.ts'
import { brokerMetrics } from '../broker/metrics.ts'
import { openBroker } from '../broker/open.ts'
import { UsageError } from '../errors.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import { type OpenInferrerOptions, openInferrer } from '../inference/open.ts'
import { parseTokens } from '../telemetry/access.ts'
import { type Beating, startHeartbeat } from '../telemetry/heartbeat.ts'
import { createLog, type LogLevel } from '../telemetry/log.ts'
import {
  type Health,
  openTelemetryServer,
  processMetrics,
  type TelemetryOptions,
  type TelemetryServer,
} from '../telemetry/server.ts'
import { NO_TRACER, type Tracer, type TracingOptions } from '../telemetry/tracing.ts'
import { listenForInterrupt } from './interrupt.ts'
import { instanceName } from './settings.ts'
import { packageVersion } from './version.ts'

export interface RoleConfig {
  readonly name?: string | undefined
  readonly host: string
  readonly port: number
  /** Used if the port is in use; undefined makes a port in use an error. */
  readonly portIfTaken?: number | undefined
  readonly logLevel: LogLevel
  readonly otlp?: string | undefined
  readonly traceRatio?: number | undefined
}

export interface BrokerConfig {
  readonly broker: string
  readonly stream: string
  readonly partitions: number
  readonly visibilityMs: number
  readonly predictionsMax?: number | undefined
  readonly deadLettersMax?: number | undefined
  readonly brokerUser?: string | undefined
  readonly brokerPassword?: string | undefined
  readonly brokerCa?: string | undefined
  readonly brokerCert?: string | undefined
  readonly brokerKey?: string | undefined
}

/** What a role runs with. */
export interface Role {
  readonly instance: string
  readonly log: Logger
  readonly registry: Registry
  readonly tracer: Tracer
  /** Aborts when the process is asked to stop. */
  readonly signal: AbortSignal
  /** Closes its members when the role ends, last opened first. */
  readonly parts: AsyncDisposableStack
  /** Sends heartbeats until the role ends, to the broker if there is one. A role that stops normally removes its entry. */
  beat(at: { readonly url: string; readonly broker?: Broker | undefined }): void
  /** Serves /metrics and /health, and sends heartbeats. */
  watch(options: WatchOptions): Promise<TelemetryServer>
}

export interface WatchOptions {
  readonly health: () => Health | Promise<Health>
  readonly broker?: Broker
  /** A server that serves more than /metrics and /health. */
  readonly open?: (options: TelemetryOptions) => Promise<TelemetryServer>
}

/** Runs a role until it returns or the process is asked to stop; returns the exit code. */
export async function runRole(
  kind: string,
  config: RoleConfig,
  body: (role: Role) => Promise<void>,
): Promise<number> {
  using interrupt = listenForInterrupt()
  await using parts = new AsyncDisposableStack()
  const instance = instanceName(config.name)
  const log = createLog({ level: config.logLevel, role: kind, instance })
  const registry = new Registry()
  processMetrics(registry, { version: packageVersion(), role: kind })
  const tracer = parts.use(
    await openTracer({
      url: config.otlp ?? process.env['OTEL_EXPORTER_OTLP_ENDPOINT'],
      ratio: config.traceRatio,
      role: kind,
      instance,
      version: packageVersion(),
      log,
    }),
  )
  const ended = new AbortController()
  parts.defer(async () => ended.abort())
  const { signal } = interrupt
  const beating: Beating[] = []
  const beat: Role['beat'] = ({ url, broker }) => {
    const part = { role: kind, instance, url, registry, log, signal: ended.signal }
    beating.push(startHeartbeat(broker ? { ...part, broker } : part))
  }
  const watch = async ({ health, broker, open = openTelemetryServer }: WatchOptions) => {
    const openOn = (port: number) => open({ host: config.host, port, registry, health })
    const server = parts.use(await openOn(config.port).catch(onAnother(config.portIfTaken, openOn)))
    beat({ url: server.url, broker })
    log.info({ url: server.url }, 'serving /metrics and /health')
    return server
  }
  let isInOrder = false
  try {
    await body({ instance, log, registry, tracer, signal, parts, beat, watch })
    isInOrder = true
  } finally {
    // A stop request counts as a normal end, even if an error follows: the entry is removed.
    if (isInOrder || signal.aborted) await Promise.all(beating.map((one) => one.leave()))
  }
  return interrupt.exitCode()
}

function onAnother<T>(port: number | undefined, open: (port: number) => Promise<T>) {
  return async (error: unknown): Promise<T> => {
    const isTaken = error instanceof UsageError && error.code === 'port_taken'
    if (!isTaken || port === undefined) throw error
    return await open(port)
  }
}

/**
 * The tracer. Without a URL it drops all spans and loads no OpenTelemetry package.
 * @throws UsageError `flag_invalid` if the URL is not an HTTP address
 */
export async function openTracer(options: TracingOptions): Promise<Tracer> {
  if (options.url === undefined || options.url === '') return NO_TRACER
  const target = toTracesUrl(options.url)
  const { OtlpTracer } = await import('../telemetry/tracing-otlp.ts')
  return new OtlpTracer(target, options)
}

/** OTLP over HTTP appends the signal to the base address (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request). */
function toTracesUrl(url: string): string {
  const parsed = URL.parse(url)
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new UsageError(
      'flag_invalid',
      `"${url}" is not the address of an OTLP collector; expected one such as http://127.0.0.1:4318`,
    )
  if (!parsed.pathname.endsWith('/v1/traces'))
    parsed.pathname = `${parsed.pathname.replace(/\/$/, '')}/v1/traces`
  return parsed.href
}

/** Opens the broker in the settings; it is closed with the role. */
export async function openRoleBroker(
  config: BrokerConfig,
  role: Pick<Role, 'log' | 'parts' | 'registry'>,
): Promise<Broker> {
  const options = { ...toBrokerOptions(config, role.log), observer: brokerMetrics(role.registry) }
  return role.parts.use(await openBroker(config.broker, options))
}

export function toBrokerOptions(config: BrokerConfig, log?: Logger) {
  return {
    stream: config.stream,
    partitions: config.partitions,
    visibilityMs: config.visibilityMs,
    ...(config.predictionsMax && { predictionsMax: config.predictionsMax }),
    ...(config.deadLettersMax && { deadLettersMax: config.deadLettersMax }),
    ...(config.brokerUser && { username: config.brokerUser }),
    ...(config.brokerPassword && { password: config.brokerPassword }),
    ...(config.brokerCa && { tlsCaFile: config.brokerCa }),
    ...(config.brokerCert && { tlsCertFile: config.brokerCert }),
    ...(config.brokerKey && { tlsKeyFile: config.brokerKey }),
    ...(log && { log }),
  }
}

export interface ModelConfig {
  readonly model: string
  readonly threads?: number | undefined
  readonly token?: string | undefined
  readonly inferUrl?: string | undefined
  readonly inferEvents?: number | undefined
  readonly modelTimeoutMs?: number | undefined
  readonly modelHedgeMs?: number | undefined
}

export async function openRoleInferrer(
  config: ModelConfig,
  role: Pick<Role, 'log' | 'parts'>,
): Promise<Inferrer> {
  return role.parts.use(await openInferrer(config.model, { log: role.log, ...inferrerOptions(config) }))
}

/** The model settings for `openInferrer`. */
export function inferrerOptions(config: Omit<ModelConfig, 'model'>): OpenInferrerOptions {
  const { threads = availableParallelism(), inferUrl, inferEvents } = config
  const [token] = parseTokens(config.token)
  const { modelTimeoutMs: timeoutMs, modelHedgeMs: hedgeMs } = config
  return { threads, inferUrl, inferEvents, timeoutMs, hedgeMs, ...(token && { token }) }
}

/** Ready when the broker answers and would store a batch. */
export async function brokerHealth(broker: ReaderBroker, details: Record<string, unknown>): Promise<Health> {
  try {
    await broker.ping()
    await broker.checkWritable()
    return { live: true, ready: true, details }
  } catch (error) {
    return { live: true, ready: false, details: { ...details, broker: String(error) } }
  }
}

/** Resolves when the process is asked to stop. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
