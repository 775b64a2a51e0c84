import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { answerEvents, assertSameEvents, type EventFacts } from '../evaluation/evaluate.ts'
import { figuresOf } from '../evaluation/figures.ts'
import { type EvaluationReport, makeReport, type NamedAnswers, toJson } from '../evaluation/report.ts'
import { DEFAULT_BOOTSTRAP } from '../evaluation/statistics.ts'
import { checkSubmission, openSubmission } from '../evaluation/submission.ts'
import { renderReport } from '../evaluation/table.ts'
import { readAnyManifest, resolveModelFolder } from '../inference/model/folder.ts'
import { isUrl, openInferrer } from '../inference/open.ts'
import { renderFigure } from '../plots/figure.ts'
import { openSource } from '../source/open.ts'
import type { EventSource } from '../source/source.ts'
import { addCommand } from './command.ts'
import { CUT_SHORT, listenForInterrupt } from './interrupt.ts'
import { showProgress } from './progress.ts'
import { makeReportFolder, writeReport } from './report-folder.ts'
import { inferrerOptions } from './role.ts'
import { DEFAULT_MODEL, jsonSetting, modelSettings } from './settings.ts'

const settings = {
  data: z
    .string()
    .describe('a folder in the Kaggle layout, or any source such as sim:7 (needs --events)')
    .meta({ value: 'source' }),
  ...modelSettings,
  model: z
    .array(z.string())
    .default([DEFAULT_MODEL])
    .describe(
      'nano, linefit, a model folder or the URL of a model server; repeat the option to compare models',
    )
    .meta({ value: 'model', repeat: true }),
  events: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('evaluate only the first N events')
    .meta({ value: 'n' }),
  out: z
    .string()
    .optional()
    .describe('folder for the table, the JSON report and the figures (SVG)')
    .meta({ value: 'folder' }),
  submission: z
    .string()
    .optional()
    .describe('write directions as a Kaggle submission (event_id,azimuth,zenith) to this file')
    .meta({ value: 'file' }),
  bootstrapSeed: z.coerce
    .number()
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .default(1)
    .describe('seed of the intervals: the same seed and data give the same intervals')
    .meta({ value: 'n' }),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

export function add(program: Command): void {
  addCommand(program, {
    name: 'evaluate',
    summary: 'compare models on a data set',
    description:
      'Runs each model on every event of a data set. Where the truth is known, it reports the angular error with intervals, by pulse count, zenith and topology, the difference between models on the same events, and the calibration of kappa. docs/evaluation.md defines each figure.',
    examples: [
      'nustream evaluate --data icecube --model linefit --model models/mine --out report',
      'nustream evaluate --data icecube-test --model models/mine --submission submission.csv',
      'nustream evaluate --data sim:7 --events 20000 --json',
      'nustream evaluate --data alert:event.json --model nano',
    ],
    shape: settings,
    run,
  })
}

async function run(config: Config): Promise<number> {
  if (config.submission && config.model.length !== 1)
    throw new UsageError('flag_invalid', `--submission takes one --model, not ${config.model.length}`)
  using interrupt = listenForInterrupt()
  try {
    await checkBefore(config)
    const report = await evaluateModels(config, interrupt.signal)
    const table = renderReport(report)
    console.log(config.json ? toJson(report) : table)
    if (config.out) await writeReport(config.out, filesOf(report, table))
    return report.models.every(({ predicted }) => predicted > 0) ? 0 : 1
  } catch (error) {
    if (interrupt.signal.aborted) return CUT_SHORT
    throw error
  }
}

/** Checks before hours of work that each model can be loaded and each output can be written. */
async function checkBefore({ model, out, submission }: Config): Promise<void> {
  for (const spec of model)
    if (spec !== 'linefit' && !isUrl(spec)) await readAnyManifest(resolveModelFolder(spec))
  if (out) await makeReportFolder(out)
  if (submission) await checkSubmission(submission)
}

/** Evaluates one model at a time, so that they do not compete for the CPU. */
async function evaluateModels(config: Config, signal: AbortSignal): Promise<EvaluationReport> {
  const models: NamedAnswers[] = []
  // The data are read once for each model; the note is printed once.
  const told = new Set<string>()
  const onNotice = (message: string) => {
    if (!told.has(message)) console.error(message)
    told.add(message)
  }
  let facts: EventFacts | undefined
  let data = config.data
  for (const spec of config.model) {
    const source = await openSource(existsSync(config.data) ? `kaggle:${config.data}` : config.data, {
      onNotice,
    })
    data = source.spec
    const { facts: seen, answers } = await answerWith(spec, source, config, signal)
    if (facts) assertSameEvents(facts, seen)
    facts = seen
    models.push({ spec, answers })
  }
  if (facts?.pulses.length === 0 && models.every(({ answers }) => Object.keys(answers.failed).length === 0))
    throw new UsageError('source_unreadable', `${data} has no events to evaluate`)
  if (facts === undefined) throw new UsageError('flag_invalid', '--model is empty: name at least one')
  return makeReport(data, facts, models, { ...DEFAULT_BOOTSTRAP, seed: config.bootstrapSeed })
}

async function answerWith(spec: string, source: EventSource, config: Config, signal: AbortSignal) {
  const total = config.events ?? (await source.count())
  if (total === undefined && !source.hasEnd)
    throw new UsageError('flag_invalid', `${source.spec} has no end; set the number of events with --events`)
  await using parts = new AsyncDisposableStack()
  const inferrer = parts.use(await openInferrer(spec, inferrerOptions(config)))
  const submission = config.submission ? parts.use(await openSubmission(config.submission)) : undefined
  const progress = showProgress(`evaluating ${spec}`, total)
  const answered = await answerEvents({
    source,
    inferrer,
    ...(total !== undefined && { eventsMax: total }),
    signal,
    onProgress: progress.update,
    ...(submission && { onChunk: submission.write }),
  })
  progress.end()
  const listed = config.events === undefined ? await source.listed?.() : undefined
  const note = await submission?.finish(listed)
  if (note) console.error(note)
  return answered
}

function* filesOf(report: EvaluationReport, table: string): Generator<[name: string, text: string]> {
  yield ['evaluation.txt', `${table}\n`]
  yield ['evaluation.json', `${toJson(report, 2)}\n`]
  for (const [name, figure] of Object.entries(figuresOf(report))) yield [`${name}.svg`, renderFigure(figure)]
}
