/**
 * Kills the processes of a running stream at random with SIGKILL, restarts them, and checks at the end that every event
 * was predicted exactly once or became a dead letter with a reason.
 *
 *   npm run chaos -- [--broker redis|sqlite] [--kills 20] [--events 20000] [--seed N]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openBroker } from '../../src/broker/open.ts'
import { decodePredictionBatch } from '../../src/event/prediction-wire.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startRedis } from '../../test/support/redis.ts'
import { type Part, supervise } from '../../test/support/supervisor.ts'

export interface ChaosOptions {
  readonly broker: 'redis' | 'sqlite'
  readonly kills: number
  readonly events: number
  readonly seed: number
  readonly report: (line: string) => void
}

export interface ChaosResult {
  readonly kills: Readonly<Record<string, number>>
  /** Events with exactly one prediction. */
  readonly predictedOnce: number
  /** Ids with more than one prediction. */
  readonly predictedTwice: readonly string[]
  /** Events with neither a prediction nor a dead letter. */
  readonly lost: number
  readonly deadLetters: readonly { readonly code: string; readonly message: string }[]
  readonly totals: { readonly emitted: number; readonly predicted: number; readonly deadLettered: number }
}

const MEAN_PAUSE_MS = 700
/** Time limit of the kills, including the waits until events flow again. */
const KILL_EVERY_MS = 1_400
const VISIBILITY_MS = 3_000
const FINISH_WITHIN_MS = 300_000
/** Time limit of the final count, which reads every prediction. */
const KEEP_ALL = ['--predictions-max', '1000000']

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  options.report(
    `chaos on ${options.broker}: ${options.kills} kills, ${options.events} events, seed ${options.seed}`,
  )
  const random = seededRandom(options.seed)
  await using stage = await openStage(options)
  const counts: Record<string, number> = {}
  const startedAt = performance.now()
  for (let kills = 0; kills < options.kills; ) {
    await pause(MEAN_PAUSE_MS * (0.3 + 1.4 * random()))
    // Every other kill waits until events flow, even on a slow machine; the others come at any moment.
    if (kills % 2 === 0) await untilFlowing(stage)
    const alive = stage.parts.filter((part) => !part.isDone)
    if (alive.length === 0) break
    const victim = alive[Math.floor(random() * alive.length)]
    await victim.kill9()
    kills += 1
    counts[victim.name] = (counts[victim.name] ?? 0) + 1
    if (kills % 10 === 0) options.report(`${kills} kills after ${seconds(startedAt)} s`)
  }
  const deadline = performance.now() + FINISH_WITHIN_MS
  while (!(await stage.isFinished())) {
    if (performance.now() > deadline)
      throw new Error(`not drained in time\n${stage.parts.map((part) => part.lastWords()).join('\n')}`)
    await pause(100)
  }
  options.report(`drained after ${seconds(startedAt)} s`)
  await stage.quiet()
  return { kills: counts, ...(await count(stage.url, options.events)) }
}

const FLOWS_WITHIN_MS = 20_000

/** Returns when an event has been published or settled since the call, or at the deadline. */
async function untilFlowing({ url, isFinished }: Stage): Promise<void> {
  const deadline = performance.now() + FLOWS_WITHIN_MS
  const steps = async (): Promise<number | undefined> => {
    try {
      await using broker = await openBroker(url)
      const { emitted, predicted } = await broker.totals()
      return emitted + predicted
    } catch {
      return undefined // the broker is being restarted
    }
  }
  let before = await steps()
  while (performance.now() < deadline && !(await isFinished())) {
    await pause(50)
    const now = await steps()
    if (before !== undefined && now !== undefined && now > before) return
    before ??= now
  }
}

interface Stage extends AsyncDisposable {
  readonly url: string
  readonly parts: readonly Part[]
  isFinished(): Promise<boolean>
  /** Stops all processes except the broker's server. */
  quiet(): Promise<void>
}

function openStage(options: ChaosOptions): Promise<Stage> {
  return options.broker === 'redis' ? openRedisStage(options) : openSqliteStage(options)
}

/** Slow enough that events still flow at the last kill. */
function rateOf({ events, kills }: ChaosOptions): number {
  return Math.max(100, Math.round(events / ((kills * KILL_EVERY_MS) / 1000)))
}

function emitFlags(options: ChaosOptions): string[] {
  const limits = ['--events', String(options.events), '--rate', String(rateOf(options)), '--batch', '64']
  return ['--source', `sim:${options.seed}`, '--run', 'chaos', ...limits]
}

async function openRedisStage(options: ChaosOptions): Promise<Stage> {
  const redis = await startRedis()
  const common = ['--port', '0', '--log-level', 'warn']
  const broker = ['--broker', redis.url, '--visibility-ms', String(VISIBILITY_MS), ...common]
  const serverPort = String(await freePort())
  const emitter = supervise('emitter', ['emit', ...emitFlags(options), ...broker])
  const server = supervise('model server', [
    'serve',
    '--model',
    'linefit',
    '--port',
    serverPort,
    '--threads',
    '1',
  ])
  const model = ['--model', `http://127.0.0.1:${serverPort}`]
  const consumer = supervise('consumer', ['consume', ...model, '--name', 'c1', ...broker, ...KEEP_ALL])
  const redisPart: Part = {
    name: 'redis',
    isDone: false,
    restarts: 0,
    kill9: async () => {
      await redis.kill9()
      await redis.restart()
    },
    stop: () => redis.stop(),
    lastWords: () => redis.log().slice(-1_000),
  }
  const parts = [emitter, server, consumer, redisPart]
  const quiet = async () => void (await Promise.all([emitter, server, consumer].map((part) => part.stop())))
  return {
    url: redis.url,
    parts,
    isFinished: async () => emitter.isDone && (await isDrained(redis.url)),
    quiet,
    [Symbol.asyncDispose]: async () => {
      await quiet()
      await redis.stop()
    },
  }
}

async function openSqliteStage(options: ChaosOptions): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'nustream-chaos-'))
  const url = `sqlite:${join(folder, 'stream.db')}`
  const flags = [
    '--broker',
    url,
    '--visibility-ms',
    String(VISIBILITY_MS),
    '--port',
    '0',
    '--json',
    ...KEEP_ALL,
  ]
  const up = supervise('up', ['up', ...emitFlags(options), '--model', 'linefit', '--threads', '1', ...flags])
  return {
    url,
    parts: [up],
    isFinished: async () => up.isDone,
    quiet: () => up.stop(),
    [Symbol.asyncDispose]: async () => {
      await up.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function isDrained(url: string): Promise<boolean> {
  try {
    await using broker = await openBroker(url)
    const { unreadBatches, leasedBatches } = await broker.backlog()
    return unreadBatches + leasedBatches === 0
  } catch {
    return false // the broker is being restarted
  }
}

/** Reads every stored prediction and dead letter and compares them with the emitted events. */
async function count(url: string, events: number): Promise<Omit<ChaosResult, 'kills'>> {
  await using broker = await openBroker(url)
  const totals = await broker.totals()
  const seen = new Map<string, number>()
  const reading = new AbortController()
  let read = 0
  const deadline = setTimeout(() => reading.abort(), 60_000)
  if (totals.predicted > 0)
    for await (const { payload } of broker.predictions({ signal: reading.signal })) {
      for (const id of decodePredictionBatch(payload).eventIds) {
        seen.set(String(id), (seen.get(String(id)) ?? 0) + 1)
        read += 1
      }
      if (read >= totals.predicted) reading.abort()
    }
  clearTimeout(deadline)
  const letters = await broker.deadLetters({ limit: events })
  const dead = new Set(letters.map((letter) => String(letter.eventId)))
  const twice = [...seen].filter(([id, times]) => times > 1 || dead.has(id)).map(([id]) => id)
  return {
    predictedOnce: seen.size - twice.length,
    predictedTwice: twice,
    lost: events - new Set([...seen.keys(), ...dead]).size,
    deadLetters: letters.map(({ code, message }) => ({ code, message })),
    totals,
  }
}

/** Small deterministic generator (mulberry32): the printed seed reproduces the kills. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string', default: 'redis' },
      kills: { type: 'string', default: '20' },
      events: { type: 'string' },
      seed: { type: 'string' },
    },
  })
  const kills = Number(values.kills)
  const result = await runChaos({
    broker: values.broker === 'sqlite' ? 'sqlite' : 'redis',
    kills,
    events: Number(values.events ?? 1_000 * kills),
    seed: Number(values.seed ?? Math.floor(Math.random() * 1e9)),
    report: (line) => process.stdout.write(`${line}\n`),
  })
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
  process.exitCode = result.lost === 0 && result.predictedTwice.length === 0 ? 0 : 1
}
