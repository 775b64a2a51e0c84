import { availableParallelism, hostname } from 'node:os'
import type { Metric, Registry } from 'prom-client'
import { z } from 'zod'
import { writePredictions } from '../archive/writer.ts'
import { UsageError } from '../errors.ts'
import type { Inferrer } from '../inference/inferrer.ts'
import type { MlflowCredentials } from '../mlflow/http.ts'
import { MlflowHttp } from '../mlflow/http.ts'
import type { SettledFacts } from '../mlflow/inference-log.ts'
import { InferenceLog } from '../mlflow/inference-log.ts'
import { mlflowMetrics } from '../mlflow/metrics.ts'
import { BUFFER_POINTS, RunLog } from '../mlflow/run-log.ts'
import type { RunStatus, Texts } from '../mlflow/runs.ts'
import { endVanishedRuns, processTags } from '../mlflow/runs.ts'
import { maskSecrets } from '../telemetry/foreign-text.ts'
import type { Role } from './role.ts'
import { packageVersion } from './version.ts'

const ms = (min: number, max: number) => z.coerce.number().int().min(min).max(max)

/** Address and credentials of MLflow. */
export const trackingSettings = {
  mlflow: z.string().optional().describe('MLflow tracking server').meta({ value: 'url' }),
  mlflowToken: z.string().optional().describe('bearer token of MLflow').meta({ secret: true }),
  mlflowUser: z.string().optional().describe('user of MLflow').meta({ value: 'user' }),
  mlflowPassword: z.string().optional().describe('password of MLflow').meta({ secret: true }),
}

/** What a consumer logs to MLflow. */
export const inferenceLogSettings = {
  ...trackingSettings,
  mlflow: trackingSettings.mlflow.describe(
    'log parameters, metrics, a sample and plots to a run of this MLflow tracking server',
  ),
  mlflowExperiment: z
    .string()
    .min(1)
    .max(250)
    .default('nustream')
    .describe('experiment of the run')
    .meta({ value: 'name' }),
  mlflowIntervalMs: ms(200, 3_600_000)
    .default(10_000)
    .describe('interval at which metrics are logged')
    .meta({ value: 'ms' }),
  mlflowFilesMs: ms(1_000, 86_400_000)
    .default(300_000)
    .describe('interval at which sample and plots are uploaded; they are also uploaded at the end')
    .meta({ value: 'ms' }),
  mlflowRunHours: z.coerce
    .number()
    .min(0)
    .max(8_760)
    .default(24)
    .describe('hours after which a new run begins; 0 keeps one run from start to end')
    .meta({ value: 'hours' }),
  mlflowBufferPoints: z.coerce
    .number()
    .int()
    .min(1_000)
    .max(1_000_000)
    .default(BUFFER_POINTS)
    .describe('values of metrics that wait while MLflow is away; beyond them the oldest are dropped')
    .meta({ value: 'n' }),
  mlflowShutdownMs: ms(0, 600_000)
    .default(10_000)
    .describe('longest time to send the remaining points at the end')
    .meta({ value: 'ms' }),
}

export interface TrackingConfig {
  readonly mlflow?: string | undefined
  readonly mlflowToken?: string | undefined
  readonly mlflowUser?: string | undefined
  readonly mlflowPassword?: string | undefined
}

/** The tracking server in the settings. @throws UsageError `flag_invalid` if the settings name no server */
export function openTracking(config: TrackingConfig): MlflowHttp {
  if (config.mlflow === undefined || config.mlflow === '')
    throw new UsageError(
      'flag_invalid',
      '--mlflow URL is required (or set NUSTREAM_MLFLOW): the tracking server, such as http://127.0.0.1:5000',
    )
  return new MlflowHttp(config.mlflow, credentialsOf(config, process.env))
}

/** MLflow's own variables apply where ours are not set. */
export function credentialsOf(
  config: TrackingConfig,
  environment: Readonly<Record<string, string | undefined>>,
): MlflowCredentials {
  return {
    token: config.mlflowToken ?? environment['MLFLOW_TRACKING_TOKEN'],
    user: config.mlflowUser ?? environment['MLFLOW_TRACKING_USERNAME'],
    password: config.mlflowPassword ?? environment['MLFLOW_TRACKING_PASSWORD'],
  }
}

export interface InferenceLogConfig extends TrackingConfig {
  readonly mlflowExperiment: string
  readonly mlflowIntervalMs: number
  readonly mlflowFilesMs: number
  readonly mlflowRunHours: number
  readonly mlflowBufferPoints: number
  readonly mlflowShutdownMs: number
}

export interface LoggedWork<T> {
  readonly inferrer: Inferrer
  /** Settings of the role that the run keeps as parameters. Secrets in URLs are masked. */
  readonly params: Readonly<Record<string, string | number | undefined>>
  readonly work: (onSettled?: (facts: SettledFacts) => void) => Promise<T>
  /** Status of the run when the work ends without an error. */
  readonly statusOf: (result: T) => RunStatus
}

/**
 * Runs a consumer's work and logs it to an MLflow run if the settings name a server. MLflow never fails or delays the
 * work. At the end, the remaining points have `mlflowShutdownMs` to be sent.
 */
export async function withInferenceLog<T>(
  config: InferenceLogConfig,
  role: Role,
  { inferrer, params, work, statusOf }: LoggedWork<T>,
): Promise<T> {
  if (config.mlflow === undefined || config.mlflow === '') return work()
  const { log, registry } = role
  const http = openTracking(config)
  const metrics = mlflowMetrics(registry)
  const openRun = () =>
    new RunLog({
      http,
      log,
      experiment: config.mlflowExperiment,
      name: role.instance,
      tags: { 'mlflow.source.name': 'nustream', 'nustream.instance': role.instance, ...processTags() },
      metrics,
      bufferPointsMax: config.mlflowBufferPoints,
      onRun: (made, signal) => endVanishedRuns(http, { run: made, log }, { signal }),
    })
  const afterMs = config.mlflowRunHours * 3_600_000
  const inferenceLog = new InferenceLog({
    run: openRun(),
    next: afterMs > 0 ? { afterMs, open: openRun } : undefined,
    log,
    params: { ...toTexts(params), ...machineParams(inferrer) },
    intervalMs: config.mlflowIntervalMs,
    filesEveryMs: config.mlflowFilesMs,
    gauges: () => readGauges(registry),
    writeSample: writePredictions,
  })
  let status: RunStatus = 'FAILED'
  try {
    const result = await work((facts) => inferenceLog.settled(facts))
    status = statusOf(result)
    return result
  } finally {
    await inferenceLog
      .end(status, config.mlflowShutdownMs)
      .catch((err: unknown) => log.error({ err }, 'MLflow run not ended'))
  }
}

function machineParams({ concurrency }: Inferrer): Texts {
  return {
    nustream_version: packageVersion(),
    node_version: process.version,
    platform: `${process.platform} ${process.arch}`,
    host: hostname(),
    processors: String(availableParallelism()),
    model_batches_at_once: String(concurrency),
  }
}

function toTexts(params: LoggedWork<unknown>['params']): Texts {
  const given = Object.entries(params).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given.map(([key, value]) => [key, maskSecrets(String(value))]))
}

/** Drift by feature and the total of retries, from the consumer's metrics: batches do not carry them. */
async function readGauges(registry: Registry): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const { labels, value } of await valuesOf(registry, 'nustream_consumer_drift_psi'))
    found[`drift_psi_${labels['feature']}`] = value
  const retries = await valuesOf(registry, 'nustream_consumer_retries_total')
  found['total_retries'] = retries.reduce((sum, { value }) => sum + value, 0)
  return found
}

interface Labelled {
  readonly labels: Readonly<Partial<Record<string, string | number>>>
  readonly value: number
}

async function valuesOf(registry: Registry, name: string): Promise<readonly Labelled[]> {
  const metric: Metric | undefined = registry.getSingleMetric(name)
  return metric ? (await metric.get()).values : []
}
