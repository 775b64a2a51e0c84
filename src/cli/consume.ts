import type { Command } from 'commander'
import type { z } from 'zod'
import { archive } from '../archive/archive.ts'
import { archiveMetrics } from '../archive/metrics.ts'
import type { Broker } from '../broker/contract.ts'
import { archiveSettings } from './archive.ts'
import { addCommand } from './command.ts'
import { inferenceLogSettings, withInferenceLog } from './mlflow.ts'
import { openStreamModel, registrySettings } from './registry-model.ts'
import { openRoleBroker, type Role, runRole } from './role.ts'
import {
  brokerSettings,
  consumeSettings,
  jsonSetting,
  modelSettings,
  portSetting,
  roleSettings,
  traceSettings,
} from './settings.ts'
import { ConsumerHealth, consumeAsConfigured, consumeParams } from './work.ts'

const settings = {
  ...modelSettings,
  ...brokerSettings,
  ...consumeSettings,
  archive: archiveSettings.out
    .optional()
    .describe('also write predictions to Parquet files in this folder')
    .meta({ value: 'folder' }),
  archiveIntervalMs: archiveSettings.intervalMs,
  ...inferenceLogSettings,
  ...registrySettings,
  ...roleSettings,
  ...traceSettings,
  ...portSetting(9102, '/metrics and /health'),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

export function add(program: Command): void {
  addCommand(program, {
    name: 'consume',
    summary: 'read events from the stream, run the model and store predictions',
    description:
      'Reads batches from the stream, computes directions with a model (in this process or on a model server), and stores predictions. An invalid event becomes a dead letter with a reason and does not affect other events.',
    examples: [
      'nustream consume --broker redis://127.0.0.1:6379 --model http://127.0.0.1:8500',
      'nustream consume --broker redis://127.0.0.1:6379 --model models/linefit-onnx --archive predictions',
      'nustream consume --broker redis://127.0.0.1:6379 --model models:/direction@champion --mlflow http://127.0.0.1:5000',
    ],
    shape: settings,
    run: (config) => runRole('consumer', config, (role) => runConsumer(config, role)),
  })
}

async function runConsumer(config: Config, role: Role): Promise<void> {
  const broker = await openRoleBroker(config, role)
  const { inferrer, details } = await openStreamModel(config, role)
  const health = new ConsumerHealth(broker, inferrer, details)
  await role.watch({ broker, health: health.read })
  const failed = new AbortController()
  const stopped = new AbortController()
  const keeping = startArchive(config, role, { broker, signal: stopped.signal })
  // When the archive cannot be written, the consumer stops and reports the cause at its end.
  keeping.catch((error: unknown) => failed.abort(error))
  const signal = AbortSignal.any([role.signal, failed.signal])
  try {
    const report = await withInferenceLog(config, role, {
      inferrer,
      params: consumeParams(config),
      work: (onSettled) => {
        const { onModelHealth } = health
        return consumeAsConfigured(config, role, { broker, inferrer, signal, onSettled, onModelHealth })
      },
      // A consumer normally ends on a stop request; only one whose shutdown time ran out was cut off.
      statusOf: ({ gaveUp }) => (failed.signal.aborted ? 'FAILED' : gaveUp ? 'KILLED' : 'FINISHED'),
    })
    if (config.json) console.log(JSON.stringify(report))
    else console.log(`predicted ${report.predicted} events, ${report.deadLettered} dead letters`)
  } finally {
    stopped.abort()
    await Promise.allSettled([keeping])
  }
  await keeping
}

/** The archive of this consumer, if the settings name one. Settles when everything is written or writing has failed. */
async function startArchive(
  { archive: dir, archiveIntervalMs: intervalMs }: Config,
  { registry, log }: Role,
  { broker, signal }: { readonly broker: Broker; readonly signal: AbortSignal },
): Promise<void> {
  if (dir !== undefined)
    await archive({ broker, dir, intervalMs, metrics: archiveMetrics(registry), log, signal })
}
