import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { DEFAULT_DEADLINE_MS, DEFAULT_QUEUE_EVENTS } from '../server/limits.ts'
import { queueMetrics } from '../server/metrics.ts'
import { buildModelServer, listenServer } from '../server/server.ts'
import { parseTokens, tokensInFile } from '../telemetry/access.ts'
import { addCommand } from './command.ts'
import { trackingSettings } from './mlflow.ts'
import { registrySettings } from './registry-model.ts'
import { openRoleBroker, runRole, untilAborted } from './role.ts'
import { openServedModels } from './served-model.ts'
import {
  accessSettings,
  brokerTuning,
  modelSettings,
  portSetting,
  roleSettings,
  traceSettings,
} from './settings.ts'
import { packageVersion } from './version.ts'

const settings = {
  model: modelSettings.model
    .describe('a model folder, linefit (built in), or models:/NAME@ALIAS of the registry of --mlflow')
    .meta({ value: 'model' }),
  challenger: z
    .string()
    .optional()
    .describe('a second model that gets the same events; its answers are compared, never returned')
    .meta({ value: 'model' }),
  threads: modelSettings.threads,
  token: modelSettings.token,
  ...accessSettings,
  ...trackingSettings,
  ...registrySettings,
  tlsKey: z
    .string()
    .optional()
    .describe('PEM file of the private key; with --tls-cert the server speaks HTTPS')
    .meta({ value: 'file' }),
  tlsCert: z.string().optional().describe('PEM file of the certificate').meta({ value: 'file' }),
  queueMax: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000_000)
    .default(DEFAULT_QUEUE_EVENTS)
    .describe('most events that may wait for the model; further requests get 503')
    .meta({ value: 'events' }),
  deadline: z.coerce
    .number()
    .int()
    .min(10)
    .max(3_600_000)
    .default(DEFAULT_DEADLINE_MS)
    .describe('longest time from a request to its answer; a slower request gets 504')
    .meta({ value: 'ms' }),
  broker: z.string().optional().describe('also send heartbeats to this broker').meta({ value: 'url' }),
  ...brokerTuning(),
  ...roleSettings,
  ...traceSettings,
  ...portSetting(8500, 'the model server'),
}

export function add(program: Command): void {
  addCommand(program, {
    name: 'serve',
    summary: 'serve a model over HTTP',
    description:
      'Serves a model: POST /predict takes raw events, /v2 speaks the Open Inference Protocol, /docs shows both. Bearer tokens come from NUSTREAM_TOKEN, separated by commas, or from --token-file.',
    examples: [
      'nustream serve --model models/linefit-onnx --port 8500',
      'nustream serve --model models:/direction@champion --challenger models:/direction@challenger --mlflow http://127.0.0.1:5000',
      `curl -s localhost:8500/predict -H 'content-type: application/json' -d '{"pulses":[{"sensor_id":100,"time":9900,"charge":1,"auxiliary":false},{"sensor_id":160,"time":10400,"charge":1,"auxiliary":false}]}'`,
    ],
    shape: settings,
    run: (config) =>
      runRole('server', config, async (role) => {
        const { threads = availableParallelism(), tokenFile } = config
        const tls = readTls(config.tlsKey, config.tlsCert)
        const models = await openServedModels(config, role, {
          threads,
          queue: {
            eventsMax: config.queueMax,
            deadlineMs: config.deadline,
            watch: queueMetrics(role.registry),
          },
        })
        const { model } = models
        const { app: server, swapModel } = buildModelServer({
          model,
          details: models.details,
          tokens: tokenFile === undefined ? parseTokens(config.token) : tokensInFile(tokenFile),
          host: config.host,
          allowedHosts: config.allowedHosts,
          ...(tls && { tls }),
          registry: role.registry,
          log: role.log,
          version: packageVersion(),
          tracer: role.tracer,
        })
        role.parts.defer(() => server.close())
        const { url } = await listenServer(server, config)
        models.follow(swapModel)
        const broker = config.broker
          ? await openRoleBroker({ ...config, broker: config.broker }, role)
          : undefined
        role.beat({ url, broker })
        role.log.info({ url, model: model.model }, 'serving')
        console.log(`serving ${model.model.name} ${model.model.version} at ${url} (${url}/docs)`)
        await untilAborted(role.signal)
      }),
  })
}

function readTls(keyFile: string | undefined, certFile: string | undefined) {
  if (keyFile === undefined && certFile === undefined) return undefined
  if (keyFile === undefined || certFile === undefined)
    throw new UsageError('flag_invalid', '--tls-key and --tls-cert must be given together')
  try {
    return { key: readFileSync(keyFile), cert: readFileSync(certFile) }
  } catch (error) {
    throw new UsageError('flag_invalid', `TLS files: ${(error as Error).message}`, { cause: error })
  }
}
