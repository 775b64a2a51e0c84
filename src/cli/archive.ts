import type { Command } from 'commander'
import { z } from 'zod'
import { archive } from '../archive/archive.ts'
import { archiveMetrics } from '../archive/metrics.ts'
import { addCommand } from './command.ts'
import { brokerHealth, openRoleBroker, runRole } from './role.ts'
import { brokerSettings, portSetting, roleSettings } from './settings.ts'

export const archiveSettings = {
  out: z.string().min(1).describe('folder of the Parquet files').meta({ value: 'folder' }),
  intervalMs: z.coerce
    .number()
    .int()
    .min(100)
    .max(3_600_000)
    .default(10_000)
    .describe('longest time before waiting predictions are written to a file')
    .meta({ value: 'ms' }),
  rows: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000_000)
    .default(200_000)
    .describe('most predictions in a file')
    .meta({ value: 'n' }),
}

export function add(program: Command): void {
  addCommand(program, {
    name: 'archive',
    summary: 'write predictions to Parquet files',
    description:
      'Writes every prediction of the stream to Parquet files, exactly once. After a crash it continues with the first prediction that the folder does not hold. Several archives may share a folder: one writes, the others take over when it stops.',
    examples: ['nustream archive --broker redis://127.0.0.1:6379 --out predictions'],
    shape: {
      ...archiveSettings,
      ...brokerSettings,
      ...roleSettings,
      ...portSetting(9103, '/metrics and /health'),
    },
    run: (config) =>
      runRole('archive', config, async (role) => {
        const broker = await openRoleBroker(config, role)
        await role.watch({ broker, health: () => brokerHealth(broker, { folder: config.out }) })
        await archive({
          broker,
          dir: config.out,
          eventsPerFileMax: config.rows,
          intervalMs: config.intervalMs,
          metrics: archiveMetrics(role.registry),
          log: role.log,
          signal: role.signal,
        })
      }),
  })
}
