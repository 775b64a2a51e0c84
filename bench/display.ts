/** How much CPU time does the display use at the detector's rate, without browsers and with many? */
import { parseArgs } from 'node:util'
import { openBroker } from '../src/broker/open.ts'
import { startNustream } from '../test/support/nustream.ts'
import { startRedis } from '../test/support/redis.ts'
import { type ShownStream, startDisplay } from '../test/support/shown-stream.ts'
import { simulatedDataSet } from './support/data-set.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '3000' },
    browsers: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '3' },
  },
})
const seconds = Number(values.seconds)
const SETTLE_MS = 3_000

await using redis = await startRedis(undefined, { args: ['--appendfsync', 'everysec'] })
const common = ['--broker', redis.url, '--port', '0', '--log-level', 'warn']
const source = ['--source', `kaggle:${await simulatedDataSet(50_000)}`, '--loop', '--rate', values.rate]
const parts = [startNustream(['consume', ...common]), startNustream(['emit', ...source, ...common])]
await using broker = await openBroker(redis.url)
const display = await startDisplay(redis.url)

/** Seconds of processor time that the display has used since it began. */
async function cpuSeconds({ url }: ShownStream): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1])
}

interface Heard {
  bytes: number
}

async function openBrowser(stop: AbortSignal, heard: Heard): Promise<void> {
  const response = await fetch(`${display.url}/api/stream`, { signal: stop })
  // The page does the same after its greeting.
  await (await fetch(`${display.url}/api/snapshot`, { signal: stop })).bytes()
  const reading = async () => {
    for await (const chunk of response.body ?? []) heard.bytes += chunk.length
  }
  reading().catch(() => undefined)
}

async function measure(browsers: number) {
  const stop = new AbortController()
  const heard: Heard = { bytes: 0 }
  await Promise.all(Array.from({ length: browsers }, () => openBrowser(stop.signal, heard)))
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  const [cpu, bytes, predicted] = [await cpuSeconds(display), heard.bytes, (await broker.totals()).predicted]
  const startedMs = performance.now()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const tookS = (performance.now() - startedMs) / 1000
  const core = ((await cpuSeconds(display)) - cpu) / tookS
  const rate = ((await broker.totals()).predicted - predicted) / tookS
  const kilobytes = browsers === 0 ? 0 : (heard.bytes - bytes) / browsers / tookS / 1000
  stop.abort()
  return { core, rate, kilobytes }
}

const rows = []
try {
  for (const browsers of [0, 1, Number(values.browsers)]) {
    const rounds = []
    for (let round = 0; round < Number(values.rounds); round++) rounds.push(await measure(browsers))
    rows.push({
      browsers,
      '% of a core': Math.round(median(rounds.map(({ core }) => core)) * 1000) / 10,
      'highest round': Math.round(Math.max(...rounds.map(({ core }) => core)) * 1000) / 10,
      'kB/s each': Math.round(median(rounds.map(({ kilobytes }) => kilobytes))),
      'events/s of the stream': Math.round(median(rounds.map(({ rate }) => rate))),
    })
  }
} finally {
  await Promise.all([display.process, ...parts].map((part) => part.kill()))
}
writeResult('display', {
  question: 'processor time of `nustream display` while emitter, consumer and Redis run on the same machine',
  command: `npm run bench -- display --rate ${values.rate} --browsers ${values.browsers} --seconds ${seconds} --rounds ${values.rounds}`,
  parameters: {
    rate: Number(values.rate),
    seconds,
    model: 'linefit',
    data: '50,000 simulated events, looped',
  },
  rows,
})
