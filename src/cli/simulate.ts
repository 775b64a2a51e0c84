import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { writeKaggle } from '../source/kaggle-write.ts'
import { writeWire } from '../source/wire-write.ts'
import { addCommand, switchFlag } from './command.ts'
import { CUT_SHORT, listenForInterrupt } from './interrupt.ts'
import { showProgress } from './progress.ts'
import { jsonSetting } from './settings.ts'

const count = (max: number) => z.coerce.number().int().min(1).max(max)

const settings = {
  events: count(200_000_000).describe('total number of events').meta({ value: 'n' }),
  out: z
    .string()
    .min(1)
    .describe('folder of the data set, or - for Arrow streams to stdout')
    .meta({ value: 'folder' }),
  seed: z.coerce
    .number()
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .default(1)
    .describe('seed; the same seed gives the same events')
    .meta({ value: 'n' }),
  fileEvents: count(1_000_000).default(200_000).describe('events in each batch file').meta({ value: 'n' }),
  threads: count(256)
    .optional()
    .describe('threads that simulate (default: the number of processor cores)')
    .meta({ value: 'n' }),
  systematics: switchFlag(
    'draw ice and sensor properties anew for each event, so that a network does not learn one set of them',
  ),
  overwrite: switchFlag('replace a data set that the folder holds'),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

export function add(program: Command): void {
  addCommand(program, {
    name: 'simulate',
    summary: 'write a data set of simulated events in the Kaggle layout',
    description:
      'Writes train/batch_N.parquet, train_meta.parquet and sensor_geometry.csv, the same for the same seed.',
    examples: [
      'nustream simulate --events 10000 --out simulated',
      'nustream simulate --events 1000000 --out simulated --seed 7',
      'nustream simulate --events 1000000 --out - | python -m nustream_training.train --data - ...',
    ],
    shape: settings,
    run,
  })
}

async function run(config: Config): Promise<number> {
  using interrupt = listenForInterrupt()
  const { signal } = interrupt
  try {
    await (config.out === '-' ? simulateToStdout(config, signal) : simulateToFolder(config, signal))
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return signal.aborted ? CUT_SHORT : 0
}

async function simulateToStdout(config: Config, signal: AbortSignal): Promise<void> {
  if (config.json)
    throw new UsageError('flag_invalid', '--out - and --json both write to stdout; use one of them')
  const { events, seed, systematics, threads: workers = availableParallelism() } = config
  await writeWire({ to: process.stdout, events, seed, systematics, workers, signal })
}

async function simulateToFolder(config: Config, signal: AbortSignal): Promise<void> {
  const progress = showProgress('simulating', config.events)
  const startedAt = performance.now()
  const report = await writeKaggle({
    dir: config.out,
    events: config.events,
    seed: config.seed,
    systematics: config.systematics,
    eventsPerFile: config.fileEvents,
    workers: config.threads ?? availableParallelism(),
    overwrite: config.overwrite,
    onProgress: progress.update,
    signal,
  }).finally(progress.end)
  const seconds = (performance.now() - startedAt) / 1000
  const rate = Math.round(report.events / seconds)
  if (config.json) {
    console.log(JSON.stringify({ ...report, seconds, eventsPerSecond: rate }))
    return
  }
  const { events, pulses, files } = report
  console.log(`${events} events, ${pulses} pulses in ${files} files below ${config.out}, ${rate} events/s`)
}
