/** How many events/s does the model server process under wrk on the same cores, and with which latency? */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type EventBatch, eventCount, sliceEvents } from '../src/event/event-batch.ts'
import { encodeEventBatch } from '../src/event/wire.ts'
import { openLocalModel } from '../src/inference/network/local.ts'
import { startNustream } from '../test/support/nustream.ts'
import { makeEvents } from '../test/support/plain-events.ts'
import { until } from '../test/support/until.ts'
import { median, writeResult } from './support/result.ts'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'test/fixtures/models/transformer-d64x4' },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    pulses: { type: 'string', default: '80' },
  },
})
const threads = availableParallelism()
const PORT = 18_501
const EVENTS = 1024
const events = makeEvents(EVENTS, 1, { pulsesPerEvent: Number(values.pulses) })

interface Load {
  readonly name: string
  readonly perRequest: number
  readonly connections: number
  readonly type: 'application/json' | 'application/vnd.apache.arrow.stream'
}

const LOADS: readonly Load[] = [
  { name: '1 event, JSON', perRequest: 1, connections: 32, type: 'application/json' },
  { name: '64 events, JSON', perRequest: 64, connections: 8, type: 'application/json' },
  { name: '64 events, Arrow', perRequest: 64, connections: 8, type: 'application/vnd.apache.arrow.stream' },
]

interface WrkResult {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly failed: number
}

/** The same work without a server: batches of the window that the scheduler sorts, two at a time. */
async function bareModel(seconds: number): Promise<{ rate: number; cpuPerEventUs: number }> {
  await using model = await openLocalModel(values.model, { threads })
  let done = 0
  const until = performance.now() + seconds * 1000
  const startedAt = performance.now()
  const cpuBefore = process.cpuUsage()
  const ask = async (): Promise<void> => {
    while (performance.now() < until) {
      await model.infer(sliceEvents(events, 0, 128))
      done += 128
    }
  }
  await Promise.all([ask(), ask(), ask(), ask()])
  const { user, system } = process.cpuUsage(cpuBefore)
  return { rate: (done * 1000) / (performance.now() - startedAt), cpuPerEventUs: (user + system) / done }
}

function bodiesOf({ perRequest, type }: Load): Buffer {
  const parts: Buffer[] = []
  for (let from = 0; from + perRequest <= EVENTS; from += perRequest) {
    const batch = sliceEvents(events, from, from + perRequest)
    const body =
      type === 'application/json' ? Buffer.from(toJson(batch)) : Buffer.from(encodeEventBatch(batch))
    parts.push(Buffer.from(`${body.length}\n`), body)
  }
  return Buffer.concat(parts)
}

function toJson(batch: EventBatch): string {
  const round = (value: number) => Math.round(value * 1000) / 1000
  const list = Array.from({ length: eventCount(batch) }, (_, i) => {
    const [from, to] = [batch.offsets[i], batch.offsets[i + 1]]
    return {
      event_id: Number(batch.eventIds[i]),
      pulses: {
        sensor_id: Array.from(batch.sensorIds.subarray(from, to)),
        time: Array.from(batch.times.subarray(from, to), round),
        charge: Array.from(batch.charges.subarray(from, to), round),
        auxiliary: Array.from(batch.auxiliary.subarray(from, to), (value) => value === 1),
      },
    }
  })
  return JSON.stringify(list.length === 1 ? list[0] : { events: list })
}

function runWrk(load: Load, folder: string, seconds: string): WrkResult {
  const bodies = join(folder, `${load.name}.bodies`)
  if (!existsSync(bodies)) writeFileSync(bodies, bodiesOf(load))
  const script = fileURLToPath(new URL('./support/predict.lua', import.meta.url))
  const text = execFileSync(
    'wrk',
    [
      '-t2',
      `-c${load.connections}`,
      `-d${seconds}s`,
      '--timeout',
      '30s',
      '-s',
      script,
      `http://127.0.0.1:${PORT}`,
    ],
    { encoding: 'utf8', env: { ...process.env, BODIES: bodies, TYPE: load.type } },
  )
  const line = text.split('\n').find((each) => each.startsWith('RESULT '))
  if (line === undefined) throw new Error(`wrk printed no result:\n${text}`)
  return JSON.parse(line.slice('RESULT '.length))
}

/** CPU seconds of a process, user and system (proc(5): ticks are 1/100 s on Linux). */
function cpuSeconds(pid: number): number {
  const stat = execFileSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8' })
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const folder = mkdtempSync(join(tmpdir(), 'nustream-bench-server-'))
const bare: { rate: number; cpuPerEventUs: number }[] = []
const measured = new Map<string, { result: WrkResult; cpuPerEventUs: number }[]>()
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    bare.push(await bareModel(Number(values.seconds) / 2))
    const serve = startNustream([
      'serve',
      '--model',
      values.model,
      '--threads',
      String(threads),
      '--port',
      String(PORT),
    ])
    await until(() => serve.stdout().includes('serving') || serve.child.exitCode !== null, {
      withinMs: 60_000,
    })
    if (serve.child.exitCode !== null || !serve.child.pid) throw new Error(`serve ended: ${serve.stderr()}`)
    for (const load of LOADS) {
      runWrk(load, folder, '2') // warm-up
      const cpuBefore = cpuSeconds(serve.child.pid)
      const result = runWrk(load, folder, values.seconds)
      const cpu = cpuSeconds(serve.child.pid) - cpuBefore
      const all = measured.get(load.name) ?? []
      all.push({ result, cpuPerEventUs: (cpu * 1e6) / (result.requests * load.perRequest) })
      measured.set(load.name, all)
    }
    await serve.kill('SIGTERM')
  }
} finally {
  rmSync(folder, { recursive: true })
}

const bareRate = median(bare.map(({ rate }) => rate))
const bareCpu = median(bare.map(({ cpuPerEventUs }) => cpuPerEventUs))
const rows = LOADS.map((load) => {
  const all = measured.get(load.name) ?? []
  const rates = all.map(({ result }) => (result.requests * load.perRequest) / result.seconds)
  return {
    'a request holds': load.name,
    connections: load.connections,
    'events/s': Math.round(median(rates)),
    'min events/s': Math.round(Math.min(...rates)),
    'max events/s': Math.round(Math.max(...rates)),
    'p50 ms': Math.round(10 * median(all.map(({ result }) => result.p50Ms))) / 10,
    'p99 ms': Math.round(10 * median(all.map(({ result }) => result.p99Ms))) / 10,
    'failed requests': all.reduce((sum, { result }) => sum + result.failed, 0),
    'server CPU µs an event': Math.round(median(all.map(({ cpuPerEventUs }) => cpuPerEventUs))),
    'of it the bare model': Math.round(bareCpu),
    'share of the bare model': Math.round((100 * median(rates)) / bareRate) / 100,
  }
})
writeResult('server', {
  question:
    'events/s and latency of POST /predict under wrk (2 threads) on the cores that the server runs on',
  command: `npm run bench -- server --model ${values.model} --seconds ${values.seconds} --rounds ${values.rounds} --pulses ${values.pulses}`,
  parameters: {
    model: values.model,
    pulses: Number(values.pulses),
    threads,
    bareModelEventsPerSecond: Math.round(bareRate),
  },
  rows,
})
