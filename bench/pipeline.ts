/** How many events/s does the whole stream do in one process: Parquet → SQLite broker → line fit → stored predictions? */
import { parseArgs } from 'node:util'
import { startNustream } from '../test/support/nustream.ts'
import { simulatedDataSet } from './support/data-set.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '300000' },
    rounds: { type: 'string', default: '3' },
    model: { type: 'string', default: 'linefit' },
  },
})
const source = `kaggle:${await simulatedDataSet(50_000)}`
const rates: number[] = []
for (let round = 0; round < Number(values.rounds); round++) {
  const flags = [
    '--source',
    source,
    '--loop',
    '--rate',
    'max',
    '--events',
    values.events,
    '--model',
    values.model,
  ]
  const up = startNustream(['up', ...flags, '--port', '0', '--json'])
  if ((await up.ended) !== 0) throw new Error(up.stderr())
  const account = JSON.parse(up.stdout().trim().split('\n').at(-1) ?? '') as {
    emitted: number
    predicted: number
    deadLettered: number
    eventsPerSecond: number
  }
  if (account.predicted + account.deadLettered !== account.emitted)
    throw new Error(`events missing: ${JSON.stringify(account)}`)
  console.log(`round ${round + 1}: ${account.eventsPerSecond} events/s`)
  rates.push(account.eventsPerSecond)
}
writeResult('pipeline', {
  question: 'events/s of the whole stream in one process, Parquet to stored predictions, SQLite broker',
  command: `npm run bench -- pipeline --events ${values.events} --rounds ${values.rounds} --model ${values.model}`,
  parameters: { events: Number(values.events), model: values.model, data: '50,000 simulated events, looped' },
  rows: [
    {
      model: values.model,
      'median events/s': Math.round(median(rates)),
      'min events/s': Math.round(Math.min(...rates)),
      'max events/s': Math.round(Math.max(...rates)),
      rounds: rates.length,
    },
  ],
})
