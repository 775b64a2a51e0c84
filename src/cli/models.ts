import { relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import { renderTable } from '../evaluation/table.ts'
import { readAnyManifest } from '../inference/model/folder.ts'
import { listModels, showModel, type VerifyReport } from '../inference/model/models.ts'
import { verifyApart } from '../inference/model/verify-apart.ts'
import { addCommand } from './command.ts'
import { formatJson } from './format-json.ts'
import { CUT_SHORT, listenForInterrupt } from './interrupt.ts'
import { publish, publishSettings } from './publish.ts'
import { referenceOf, writeReference } from './reference.ts'
import { jsonSetting } from './settings.ts'

const ACTIONS = ['list', 'show', 'verify', 'reference', 'publish'] as const
/** Models in the package. */
const SHIPPED = fileURLToPath(new URL('../../models', import.meta.url))

export function add(program: Command): void {
  addCommand(program, {
    name: 'models',
    summary: 'list, show, verify and publish model folders, and describe their training events',
    description:
      'list shows the models that --model accepts. show prints the manifest and the actual inputs and outputs of the network. verify loads the model in a separate process with a time limit and checks manifest, graph and the answers on the parity fixture. reference computes the histograms of a data set with which the consumer compares the stream; it writes them into the manifest of --model, or prints them. publish uploads a folder to the MLflow registry, from which serve and consume load it.',
    examples: [
      'nustream models list',
      'nustream models show models/linefit-onnx',
      'nustream models verify path/to/my-model',
      'nustream models reference --data icecube --model path/to/my-model',
      'nustream models publish path/to/my-model --name direction --alias champion --mlflow http://127.0.0.1:5000',
    ],
    arguments: [
      { spec: '<action>', description: `one of ${ACTIONS.join(', ')}` },
      { spec: '[model]', description: 'a model folder, or linefit' },
    ],
    shape: {
      root: z
        .array(z.string())
        .default(['models'])
        .describe('folder of model folders to list, in addition to the bundled ones')
        .meta({ value: 'folder', repeat: true }),
      data: z
        .string()
        .optional()
        .describe('reference: a folder in the Kaggle layout, or any source such as sim:7 (needs --events)')
        .meta({ value: 'source' }),
      model: z
        .string()
        .optional()
        .describe('reference: the model folder to write into')
        .meta({ value: 'folder' }),
      events: z.coerce
        .number()
        .int()
        .min(1)
        .max(50_000_000)
        .optional()
        .describe('reference: use only the first N events')
        .meta({ value: 'n' }),
      ...publishSettings,
      ...jsonSetting,
    },
    run: async (config, [action = '', spec]) => {
      if (action === 'list') return list(config.root, config.json)
      if (action === 'reference') return reference({ ...config, model: spec ?? config.model })
      if (action !== 'show' && action !== 'verify' && action !== 'publish')
        throw new UsageError(
          'flag_invalid',
          `unknown action "${action}"; expected one of ${ACTIONS.join(', ')}`,
        )
      if (spec === undefined)
        throw new UsageError(
          'flag_invalid',
          `${action} needs a model folder; nustream models list shows some`,
        )
      if (action === 'publish') return publish(spec, config)
      return action === 'show' ? show(spec, config.json) : verify(spec, config)
    },
  })
}

async function list(roots: readonly string[], json: boolean): Promise<number> {
  const folders = new Set([...roots, SHIPPED].map((root) => resolve(root)))
  const models = await listModels([...folders].map((folder) => relative('', folder) || '.'))
  if (json) console.log(JSON.stringify(models))
  else {
    const rows = models.map(({ spec, name, version, description, problem }) => [
      spec,
      problem ? '✘' : `${name} ${version}`,
      // A problem has one line for each field; the table has one line for each model.
      problem ? onOneLine(problem) : description,
    ])
    console.log(renderTable([['--model', 'name', 'description'], ...rows]))
  }
  return 0
}

function onOneLine(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ')
}

interface VerifyConfig {
  readonly verifyMs?: number | undefined
  readonly json: boolean
}

async function show(spec: string, json: boolean): Promise<number> {
  const { manifest, graph, members } = await showModel(spec)
  const shown = { manifest: manifest ?? 'built in, see docs/models.md', graph: graph ?? null, members }
  // Some numbers of a graph are int64.
  const plain = (_key: string, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)
  console.log(JSON.stringify(shown, plain, json ? 0 : 2))
  return 0
}

async function verify(spec: string, { json, verifyMs: withinMs }: VerifyConfig): Promise<number> {
  const report = await verifyApart(spec, { withinMs })
  if (json) console.log(JSON.stringify(report))
  else for (const line of renderReport(report)) console.log(line)
  return report.isSound ? 0 : 1
}

interface ReferenceConfig {
  readonly data?: string | undefined
  readonly model: string | undefined
  readonly events?: number | undefined
  readonly json: boolean
}

async function reference({ data, model, events, json }: ReferenceConfig): Promise<number> {
  if (data === undefined)
    throw new UsageError('flag_invalid', 'reference needs --data: the events that the model was trained on')
  // Checked before the events are counted, which may take an hour.
  if (model !== undefined) await readAnyManifest(model)
  using interrupt = listenForInterrupt()
  const made = await referenceOf({ data, eventsMax: events, signal: interrupt.signal })
  if (made === undefined) return CUT_SHORT
  if (model !== undefined) await writeReference(model, made)
  if (json) console.log(JSON.stringify(made))
  else if (model === undefined) console.log(formatJson({ reference: made }))
  else console.log(`${model}/model.json has the histograms of ${made.events} events as its reference`)
  return 0
}

function renderReport({
  isSound,
  spec,
  name,
  version,
  parity,
  loadMs,
  problem,
  warnings,
}: VerifyReport): string[] {
  if (!isSound) return [`✘ ${spec}: ${problem?.message} (${problem?.code})`]
  const worst = parity && `${parity.worstRad.toExponential(1)} rad (allowed ${parity.toleranceRad} rad)`
  return [
    `✔ ${spec}: ${name} ${version}, loaded and warm in ${Math.round(loadMs)} ms`,
    ...(parity ? [`✔ parity on ${parity.events} events: worst difference ${worst}`] : []),
    ...warnings.map((warning) => `! ${warning}`),
  ]
}
