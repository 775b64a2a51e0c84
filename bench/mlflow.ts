/** Does a failing MLflow slow down predictions? Compares events/s of the stream with and without logging. */
import { parseArgs } from 'node:util'
import { startHostileServer } from '../test/support/hostile-mlflow.ts'
import { startNustream } from '../test/support/nustream.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '3' },
    source: { type: 'string', default: 'sim:1' },
  },
})

const cleanups: (() => Promise<void>)[] = []
const owner = { onTestFinished: (cleanup: () => Promise<void>) => cleanups.push(cleanup) }
const hangs = await startHostileServer(owner, 'hangs')
const fails = await startHostileServer(owner, 'fails')
const garbage = await startHostileServer(owner, 'garbage')
const CASES: Readonly<Record<string, readonly string[]>> = {
  'no MLflow': [],
  'never answers': ['--mlflow', hangs.url],
  'answers 500': ['--mlflow', fails.url],
  'answers garbage': ['--mlflow', garbage.url],
  'not there': ['--mlflow', 'http://127.0.0.1:9'],
}
// All kinds in turn, so that other load on the machine affects all of them.
const rates = new Map<string, number[]>(Object.keys(CASES).map((name) => [name, []]))
const flags = ['--model', 'linefit', '--source', values.source, '--rate', 'max', '--events', values.events]
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, mlflow] of Object.entries(CASES)) {
    // More often than in practice, for the greatest cost.
    const often = mlflow.length > 0 ? ['--mlflow-interval-ms', '200', '--mlflow-files-ms', '1000'] : []
    const end = mlflow.length > 0 ? ['--mlflow-shutdown-ms', '1000'] : []
    const up = startNustream([
      'up',
      ...flags,
      ...mlflow,
      ...often,
      ...end,
      '--port',
      '0',
      '--headless',
      '--json',
    ])
    if ((await up.ended) !== 0) throw new Error(up.stderr())
    const { eventsPerSecond } = JSON.parse(up.stdout().trim().split('\n').at(-1) ?? '') as {
      eventsPerSecond: number
    }
    console.log(`round ${round + 1}: ${name}: ${eventsPerSecond} events/s`)
    rates.get(name)?.push(eventsPerSecond)
  }
}
for (const cleanup of cleanups) await cleanup()
const plain = median(rates.get('no MLflow') ?? [])
writeResult('mlflow', {
  question: 'events/s of the stream while the MLflow that it logs to is broken',
  command: `npm run bench -- mlflow --events ${values.events} --rounds ${values.rounds} --source ${values.source}`,
  parameters: { events: Number(values.events), intervalMs: 200, filesMs: 1000 },
  rows: [...rates].map(([name, found]) => ({
    MLflow: name,
    'median events/s': Math.round(median(found)),
    'of no MLflow': Number((median(found) / plain).toFixed(2)),
    'min events/s': Math.round(Math.min(...found)),
    'max events/s': Math.round(Math.max(...found)),
    rounds: found.length,
  })),
})
