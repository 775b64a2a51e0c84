import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { evaluate, type ModelEvaluation } from '../evaluation/evaluate.ts'
import { openSubmission } from '../evaluation/submission.ts'
import { renderEvaluations } from '../evaluation/table.ts'
import { openInferrer } from '../inference/open.ts'
import { openSource } from '../source/open.ts'
import { addCommand } from './command.ts'
import { listenForInterrupt } from './interrupt.ts'
import { showProgress } from './progress.ts'
import { jsonSetting, modelSettings } from './settings.ts'

const settings = {
  data: z
    .string()
    .describe('a folder in the Kaggle layout, or any source such as sim:7 (needs --events)')
    .meta({ value: 'source' }),
  ...modelSettings,
  model: z
    .array(z.string())
    .default(['linefit'])
    .describe('a model folder, linefit, or the URL of a model server; several are compared')
    .meta({ value: 'model', repeat: true }),
  events: z.coerce
    .number()
    .int()
    .min(1)
    .optional()
    .describe('use only the first events')
    .meta({ value: 'n' }),
  out: z.string().optional().describe('folder for the table and the JSON report').meta({ value: 'folder' }),
  submission: z
    .string()
    .optional()
    .describe('write directions as a Kaggle submission (event_id,azimuth,zenith) to this file')
    .meta({ value: 'file' }),
  ...jsonSetting,
}

type Config = z.infer<z.ZodObject<typeof settings>>

export function add(program: Command): void {
  addCommand(program, {
    name: 'evaluate',
    summary: 'compare models on a data set',
    description:
      'Answers every event of a data set with each model and shows the angular error where the truth is known.',
    examples: [
      'nustream evaluate --data icecube --model linefit --model models/mine --out report',
      'nustream evaluate --data icecube-test --model models/mine --submission submission.csv',
      'nustream evaluate --data sim:7 --events 20000 --json',
    ],
    shape: settings,
    run,
  })
}

async function run(config: Config): Promise<number> {
  if (config.submission && config.model.length !== 1)
    throw new UsageError('flag_invalid', `--submission takes one --model, not ${config.model.length}`)
  using interrupt = listenForInterrupt()
  const evaluations: ModelEvaluation[] = []
  for (const model of config.model) evaluations.push(await evaluateModel(model, config, interrupt.signal))
  const table = renderEvaluations(evaluations)
  if (config.out) {
    await mkdir(config.out, { recursive: true })
    await writeFile(join(config.out, 'evaluation.txt'), `${table}\n`)
    await writeFile(join(config.out, 'evaluation.json'), `${JSON.stringify(evaluations, undefined, 2)}\n`)
  }
  console.log(config.json ? JSON.stringify(evaluations) : table)
  return interrupt.exitCode()
}

async function evaluateModel(model: string, config: Config, signal: AbortSignal): Promise<ModelEvaluation> {
  const source = await openSource(existsSync(config.data) ? `kaggle:${config.data}` : config.data)
  const total = config.events ?? (await source.count())
  if (total === undefined)
    throw new UsageError('flag_invalid', `${source.spec} has no end: say how many events with --events`)
  const { threads = availableParallelism(), token } = config
  await using inferrer = await openInferrer(model, { threads, ...(token && { token }) })
  const progress = showProgress(`evaluating ${model}`, total)
  const submission = config.submission ? await openSubmission(config.submission) : undefined
  const evaluation = await evaluate({
    source,
    inferrer,
    eventsMax: total,
    signal,
    onProgress: progress.update,
    ...(submission && { onChunk: submission.write }),
  })
  progress.end()
  await submission?.finish()
  return evaluation
}
