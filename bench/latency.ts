/** How long from an event's due time to its stored prediction at the detector's rate, and is the lag constant? */
import { parseArgs } from 'node:util'
import { openBroker } from '../src/broker/open.ts'
import { startNustream } from '../test/support/nustream.ts'
import { startRedis } from '../test/support/redis.ts'
import { simulatedDataSet } from './support/data-set.ts'
import { writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '3000' },
    seconds: { type: 'string', default: '60' },
    model: { type: 'string', multiple: true, default: ['linefit', 'models/nano'] },
    batch: { type: 'string', default: '256' },
  },
})
const events = Number(values.rate) * Number(values.seconds)
const source = `kaggle:${await simulatedDataSet(50_000)}`

async function measure(model: string) {
  await using redis = await startRedis(undefined, { args: ['--appendfsync', 'everysec'] })
  const common = ['--broker', redis.url, '--port', '0', '--log-level', 'warn']
  const consume = startNustream(['consume', '--model', model, '--json', ...common])
  await new Promise((resolve) => setTimeout(resolve, 3_000)) // the model is loaded and warm
  const pace = ['--rate', values.rate, '--events', String(events), '--batch', values.batch]
  const emit = startNustream(['emit', '--source', source, '--loop', ...pace, ...common])
  await using broker = await openBroker(redis.url)
  const lag: number[] = []
  for (;;) {
    const { predicted, deadLettered } = await broker.totals()
    if (predicted + deadLettered >= events) break
    if (consume.child.exitCode !== null) throw new Error(consume.stderr())
    lag.push((await broker.backlog()).events)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
  await emit.ended
  await consume.kill('SIGTERM')
  const report = JSON.parse(consume.stdout().trim().split('\n').at(-1) ?? '') as Report
  const half = Math.floor(lag.length / 2)
  return {
    model,
    predicted: report.predicted,
    'p50 ms': Math.round(report.latencyMs.p50),
    'p99 ms': Math.round(report.latencyMs.p99),
    'mean lag, first half (events)': Math.round(mean(lag.slice(0, half))),
    'mean lag, second half (events)': Math.round(mean(lag.slice(half))),
  }
}

interface Report {
  readonly predicted: number
  readonly latencyMs: { readonly p50: number; readonly p99: number }
}

function mean(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0) / counts.length
}

const rows = []
for (const model of values.model) rows.push(await measure(model))
writeResult('latency', {
  question: `latency at ${values.rate} events/s over Redis, emitter and consumer as processes, from due time to stored prediction`,
  command: `npm run bench -- latency --rate ${values.rate} --seconds ${values.seconds}${values.model.map((model) => ` --model ${model}`).join('')}`,
  parameters: {
    rate: Number(values.rate),
    seconds: Number(values.seconds),
    batch: Number(values.batch),
    arrivals: 'Poisson',
  },
  rows,
})
