/** How many events/s does the whole stream process in one process: Parquet → SQLite broker → model → stored predictions? */
import { parseArgs } from 'node:util'
import { startNustream } from '../test/support/nustream.ts'
import { simulatedDataSet } from './support/data-set.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '300000' },
    rounds: { type: 'string', default: '3' },
    model: { type: 'string', multiple: true, default: ['linefit', 'models/nano'] },
  },
})
const source = `kaggle:${await simulatedDataSet(50_000)}`

interface Account {
  readonly emitted: number
  readonly predicted: number
  readonly deadLettered: number
  readonly eventsPerSecond: number
}

async function measure(model: string): Promise<number> {
  const stream = ['--source', source, '--loop', '--rate', 'max', '--events', values.events]
  const up = startNustream(['up', ...stream, '--model', model, '--port', '0', '--json'])
  if ((await up.ended) !== 0) throw new Error(up.stderr())
  const account = JSON.parse(up.stdout().trim().split('\n').at(-1) ?? '') as Account
  if (account.predicted + account.deadLettered !== account.emitted)
    throw new Error(`events missing: ${JSON.stringify(account)}`)
  console.log(`${model}: ${account.eventsPerSecond} events/s`)
  return account.eventsPerSecond
}

const rows = []
for (const model of values.model) {
  const rates: number[] = []
  for (let round = 0; round < Number(values.rounds); round++) rates.push(await measure(model))
  rows.push({
    model,
    'median events/s': Math.round(median(rates)),
    'min events/s': Math.round(Math.min(...rates)),
    'max events/s': Math.round(Math.max(...rates)),
    rounds: rates.length,
  })
}
writeResult('pipeline', {
  question: 'events/s of the whole stream in one process, Parquet to stored predictions, SQLite broker',
  command: `npm run bench -- pipeline --events ${values.events} --rounds ${values.rounds}${values.model.map((model) => ` --model ${model}`).join('')}`,
  parameters: { events: Number(values.events), data: '50,000 simulated events, looped' },
  rows,
})
