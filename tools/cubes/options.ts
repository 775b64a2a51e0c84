import { parseArgs } from 'node:util'

export interface CubesOptions {
  readonly events: number | undefined
  readonly rate: string
  readonly source: string
  readonly model: string
  readonly folder: string
  readonly mlflow: boolean
  readonly stay: boolean
  readonly fresh: boolean
  readonly json: boolean
}

export const HELP = `Usage: npm run cubes -- [options]

Brings up both cubes as processes of this machine, with no container engine: Redis and emitter (cube 1), model server,
consumer, archive, display, MLflow and Prometheus (cube 2). Prints where each is, restarts what dies, and stops all
together on Ctrl-C. The folder holds their logs, Redis's data, predictions and MLflow's runs.

Options:
  --events <n>       stop after this many events: they are drained, the account is printed, everything ends
  --rate <n|max>     events per second (default: 1000)
  --source <source>  sim[:SEED], kaggle:DIR, parquet:FILE or watch:DIR (default: sim:1)
  --model <model>    a model folder, or linefit (default: linefit)
  --folder <folder>  where all is kept (default: .nustream/cubes)
  --no-mlflow        without MLflow, whose first start takes minutes and 850 MB
  --stay             with --events: keep everything up after the account, until Ctrl-C
  --fresh            begin with an empty Redis; otherwise the stream resumes where it stopped
  --json             the account as one JSON object on the last line of stdout
  --help             this

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
Each process uses its default port if it is free, otherwise any free port; the folder's state.json keeps the ports.
A second Ctrl-C ends everything at once.`

/** @throws Error in one sentence if the arguments are not valid */
export function readOptions(args: readonly string[]): CubesOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      events: { type: 'string' },
      rate: { type: 'string', default: '1000' },
      source: { type: 'string', default: 'sim:1' },
      model: { type: 'string', default: 'linefit' },
      folder: { type: 'string', default: '.nustream/cubes' },
      mlflow: { type: 'boolean', default: true },
      stay: { type: 'boolean', default: false },
      fresh: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return 'help'
  if (values.rate !== 'max' && !(Number(values.rate) > 0))
    throw new Error(`--rate ${values.rate}: expected a number above 0, or max`)
  const { events, ...rest } = values
  if (events !== undefined && !(Number.isSafeInteger(Number(events)) && Number(events) > 0))
    throw new Error(`--events ${events}: expected a whole number above 0`)
  return { ...rest, events: events === undefined ? undefined : Number(events) }
}
