/** How many events/s do emitter and consumer process over a real Redis, with and without a model server? */
import { parseArgs } from 'node:util'
import { openBroker } from '../src/broker/open.ts'
import { startNustream } from '../test/support/nustream.ts'
import { startRedis } from '../test/support/redis.ts'
import { simulatedDataSet } from './support/data-set.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '200000' },
    rounds: { type: 'string', default: '3' },
    model: { type: 'string', multiple: true, default: ['linefit', 'models/nano'] },
  },
})
const events = Number(values.events)
const source = `kaggle:${await simulatedDataSet(50_000)}`
const SERVE_PORT = 18_500
/** The first events are excluded: the processes are still starting. */
const WARM_UP_SHARE = 0.1

/** Events/s between the first tenth and the end. */
async function measure(folder: string, over: 'in-process' | 'HTTP'): Promise<number> {
  await using redis = await startRedis(undefined, { args: ['--appendfsync', 'everysec'] })
  const common = ['--broker', redis.url, '--port', '0', '--log-level', 'warn']
  const serve =
    over === 'HTTP' ? startNustream(['serve', '--model', folder, '--port', String(SERVE_PORT)]) : undefined
  const model = serve ? `http://127.0.0.1:${SERVE_PORT}` : folder
  while (serve && !serve.stdout().includes('serving')) await new Promise((resolve) => setTimeout(resolve, 50))
  const consume = startNustream(['consume', '--model', model, ...common])
  const flags = ['--source', source, '--loop', '--rate', 'max', '--events', String(events)]
  const emit = startNustream(['emit', ...flags, ...common])
  try {
    await using broker = await openBroker(redis.url)
    let from: { atMs: number; predicted: number } | undefined
    for (;;) {
      const { predicted, deadLettered } = await broker.totals()
      const atMs = performance.now()
      if (!from && predicted > events * WARM_UP_SHARE) from = { atMs, predicted }
      if (from && predicted + deadLettered >= events)
        return ((predicted - from.predicted) * 1000) / (atMs - from.atMs)
      if (consume.child.exitCode !== null) throw new Error(consume.stderr())
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  } finally {
    await Promise.all([emit.kill(), consume.kill(), serve?.kill()])
  }
}

const rows = []
for (const model of values.model) {
  for (const over of ['in-process', 'HTTP'] as const) {
    const rates: number[] = []
    for (let round = 0; round < Number(values.rounds); round++) rates.push(await measure(model, over))
    rows.push({
      model,
      'model runs': over,
      'median events/s': Math.round(median(rates)),
      'min events/s': Math.round(Math.min(...rates)),
      'max events/s': Math.round(Math.max(...rates)),
    })
  }
}
writeResult('processes', {
  question:
    'events/s over Redis (append-only file on) with emitter and consumer as processes, on this machine together',
  command: `npm run bench -- processes --events ${values.events} --rounds ${values.rounds}${values.model.map((model) => ` --model ${model}`).join('')}`,
  parameters: { events, data: '50,000 simulated events, looped' },
  rows,
})
