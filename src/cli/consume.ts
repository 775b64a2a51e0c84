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
    .describe('also keep predictions as Parquet files in this folder')
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
    summary: 'take events from the stream, ask the model and store predictions',
    description:
      'Takes batches from the stream, asks a model (in this process, or a model server) for directions, and stores predictions. Bad events become dead letters with a reason; nothing else is touched by them.',
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
  // A consumer whose archive cannot be kept stops, and says why at its end.
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
      // Asked to stop is how a consumer ends; one whose time ran out was cut off.
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

/** The archive beside the consumer, where the settings ask for one; settled when it has written all, or cannot. */
async function startArchive(
  { archive: dir, archiveIntervalMs: intervalMs }: Config,
  { registry, log }: Role,
  { broker, signal }: { readonly broker: Broker; readonly signal: AbortSignal },
): Promise<void> {
  if (dir !== undefined)
    await archive({ broker, dir, intervalMs, metrics: archiveMetrics(registry), log, signal })
}
