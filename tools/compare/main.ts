/** `npm run compare`: compares events with published figures of the real ones. See `npm run compare -- --help`. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Command } from 'commander'
import { z } from 'zod'
import { addCommand } from '../../src/cli/command.ts'
import { CUT_SHORT, listenForInterrupt } from '../../src/cli/interrupt.ts'
import { runProgram } from '../../src/cli/program.ts'
import { showProgress } from '../../src/cli/progress.ts'
import { makeReportFolder, writeReport } from '../../src/cli/report-folder.ts'
import { jsonSetting } from '../../src/cli/settings.ts'
import { UsageError } from '../../src/errors.ts'
import { sliceEvents } from '../../src/event/event-batch.ts'
import { renderFigure } from '../../src/plots/figure.ts'
import { openSource } from '../../src/source/open.ts'
import { openSimulated } from '../../src/source/simulated.ts'
import type { EventSource } from '../../src/source/source.ts'
import { type ComparisonRow, compareWithPublished, renderComparison } from './comparison.ts'
import { drawComparison } from './figures.ts'
import { EventStatistics } from './statistics.ts'

const CHUNK_EVENTS = 1024

const settings = {
  data: z
    .string()
    .default('sim:1')
    .describe('simulated events of a seed, a folder in the Kaggle layout, or any other source')
    .meta({ value: 'source' }),
  events: z.coerce.number().int().min(1).default(200_000).describe('number of events').meta({ value: 'n' }),
  threads: z.coerce
    .number()
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe('threads that simulate (default: the number of processor cores)')
    .meta({ value: 'n' }),
  out: z
    .string()
    .optional()
    .describe('folder for the table, the JSON report and the figures as SVG')
    .meta({ value: 'folder' }),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

const [program, script, ...args] = process.argv
process.exit(await runProgram(createProgram, [program, script, 'compare', ...args]))

function createProgram(): Command {
  const program = new Command('npm run')
  addCommand(program, {
    name: 'compare',
    summary: 'compare events with the published statistics of the real data set',
    description:
      'Compares each published figure of the real events with the same figure of simulated events, or of a data set.',
    examples: [
      'npm run compare',
      'npm run compare -- --data sim:7 --events 20000 --out report',
      'npm run compare -- --data icecube --json',
    ],
    shape: settings,
    run,
  })
  return program
}

async function run(config: Config): Promise<number> {
  using interrupt = listenForInterrupt()
  const source = await open(config)
  if (config.out) await makeReportFolder(config.out)
  const startedAt = performance.now()
  const { statistics, rejected } = await gather(source, config.events, interrupt.signal)
  const seconds = (performance.now() - startedAt) / 1000
  if (statistics.events === 0) {
    if (interrupt.signal.aborted) return CUT_SHORT
    throw new UsageError('source_unreadable', `${source.spec} has no events to compare`)
  }
  const rows = compareWithPublished(statistics)
  const { events } = statistics
  const head = `${events} events of ${source.spec} in ${seconds.toFixed(1)} s${rejected ? `, ${rejected} rejected` : ''}`
  const table = `${head}\n\n${renderComparison(rows)}`
  const report = JSON.stringify({ data: source.spec, events, rejected, seconds, comparison: rows })
  console.log(config.json ? report : table)
  if (config.out)
    await writeReport(config.out, filesOf({ statistics, rows, table, report, spec: source.spec }))
  return interrupt.exitCode()
}

/** Events are simulated on as many threads as there are cores. */
async function open({ data, threads }: Config): Promise<EventSource> {
  if (/^sim(:|$)/.test(data)) return openSimulated(data, { workers: threads ?? availableParallelism() })
  return openSource(existsSync(data) ? `kaggle:${data}` : data)
}

interface Gathered {
  readonly statistics: EventStatistics
  /** Events that violate the event form; they are excluded. */
  readonly rejected: number
}

async function gather(source: EventSource, events: number, signal: AbortSignal): Promise<Gathered> {
  const total = Math.min(events, (await source.count()) ?? events)
  const progress = showProgress(`comparing ${source.spec}`, total)
  const statistics = new EventStatistics()
  let rejected = 0
  for await (const chunk of source.read({ eventsMax: CHUNK_EVENTS, signal })) {
    const batch = chunk.events
    rejected += chunk.rejected.length
    statistics.add(sliceEvents(batch, 0, Math.min(batch.eventIds.length, total - statistics.events)))
    progress.update(statistics.events)
    if (statistics.events >= total || signal.aborted) break
  }
  progress.end()
  return { statistics, rejected }
}

interface Report {
  readonly statistics: EventStatistics
  readonly rows: readonly ComparisonRow[]
  readonly table: string
  readonly report: string
  readonly spec: string
}

function* filesOf({
  statistics,
  rows,
  table,
  report,
  spec,
}: Report): Generator<[name: string, text: string]> {
  yield ['comparison.txt', `${table}\n`]
  yield ['comparison.json', `${report}\n`]
  for (const [name, figure] of drawComparison({ statistics, rows, events: `events of ${spec}` }))
    yield [`simulator-${name}.svg`, renderFigure(figure)]
}
