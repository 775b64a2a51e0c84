import type { Command } from 'commander'
import { archive } from '../archive/archive.ts'
import { archiveMetrics } from '../archive/metrics.ts'
import { archiveSettings } from './archive.ts'
import { addCommand } from './command.ts'
import { inferenceLogSettings, withInferenceLog } from './mlflow.ts'
import { openStreamModel, registrySettings } from './registry-model.ts'
import { brokerHealth, openRoleBroker, runRole } from './role.ts'
import {
  brokerSettings,
  consumeSettings,
  jsonSetting,
  modelSettings,
  portSetting,
  roleSettings,
  traceSettings,
} from './settings.ts'
import { consumeAsConfigured, consumeParams } from './work.ts'

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
    shape: {
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
    },
    run: (config) =>
      runRole('consumer', config, async (role) => {
        const broker = await openRoleBroker(config, role)
        const { inferrer, details } = await openStreamModel(config, role)
        const stopping = new AbortController()
        role.parts.defer(async () => stopping.abort())
        await role.watch({ broker, health: () => brokerHealth(broker, details()) })
        const keeping = config.archive
          ? archive({
              broker,
              dir: config.archive,
              intervalMs: config.archiveIntervalMs,
              metrics: archiveMetrics(role.registry),
              log: role.log,
              signal: stopping.signal,
            })
          : undefined
        const { signal } = role
        const report = await withInferenceLog(config, role, {
          inferrer,
          params: consumeParams(config),
          work: (onSettled) => consumeAsConfigured(config, role, { broker, inferrer, signal, onSettled }),
          // Asked to stop is how a consumer ends; one whose time ran out was cut off.
          statusOf: ({ gaveUp }) => (gaveUp ? 'KILLED' : 'FINISHED'),
        })
        stopping.abort()
        await keeping
        if (config.json) console.log(JSON.stringify(report))
        else console.log(`predicted ${report.predicted} events, ${report.deadLettered} dead letters`)
      }),
  })
}
