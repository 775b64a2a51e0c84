import type { Command } from 'commander'
import { addCommand } from './command.ts'
import { brokerHealth, openRoleBroker, runRole } from './role.ts'
import {
  brokerSettings,
  emitSettings,
  jsonSetting,
  portSetting,
  roleSettings,
  traceSettings,
} from './settings.ts'
import { emitAsConfigured, openRoleSource } from './work.ts'

export function add(program: Command): void {
  addCommand(program, {
    name: 'emit',
    summary: 'read events from a source and publish them to the stream',
    description:
      'Reads events from a data set or the simulator, paces them like the detector and publishes them in batches. Resumes where it stopped after a crash, and pauses while too many events wait in the broker.',
    examples: [
      'nustream emit --source kaggle:icecube --broker redis://127.0.0.1:6379',
      'nustream emit --source sim:42 --rate max --events 100000 --broker redis://127.0.0.1:6379',
      'nustream emit --source watch:/data/incoming --broker sqlite:stream.db --run night-7',
    ],
    shape: {
      ...emitSettings,
      ...brokerSettings,
      ...roleSettings,
      ...traceSettings,
      ...portSetting(9101, '/metrics and /health'),
      ...jsonSetting,
    },
    run: (config) =>
      runRole('emitter', config, async (role) => {
        const source = await openRoleSource(config, role)
        const broker = await openRoleBroker(config, role)
        await role.watch({ broker, health: () => brokerHealth(broker, { source: source.spec }) })
        const report = await emitAsConfigured(config, role, { source, broker, signal: role.signal })
        if (config.json) console.log(JSON.stringify(report))
        else console.log(`emitted ${report.emitted} events in ${report.batches} batches from ${source.spec}`)
      }),
  })
}
