import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Broker, Totals } from '../../src/broker/contract.ts'
import { openBroker } from '../../src/broker/open.ts'
import { renderAccount, toAccount } from '../../src/cli/account.ts'
import type { ModelIdentity } from '../../src/inference/inferrer.ts'
import { ensureMlflow } from '../mlflow/environment.ts'
import type { CubesOptions } from './options.ts'
import { Part } from './part.ts'
import { type PartName, planParts } from './plan.ts'
import { choosePorts, type Ports } from './ports.ts'
import { SCRAPED, writePrometheusFolder, writeTargets } from './prometheus.ts'
import { isRunning, readState, writeState } from './state.ts'
import { renderTable, type Terminal } from './terminal.ts'

type Parts = ReadonlyMap<PartName, Part>

/** Stop order: consumers first, so that nothing new is stored while the rest ends; Redis last, since all others need it. */
const STOPS: readonly (readonly PartName[])[] = [
  ['emitter'],
  ['consumer'],
  ['archive', 'display', 'server'],
  ['mlflow', 'prometheus'],
  ['redis'],
]
const READY_WITHIN_MS = 120_000
/** MLflow imports for half a minute on a busy machine, and creates its tables at the first start. */
const MLFLOW_WITHIN_MS = 300_000
const DRAIN_POLL_MS = 100

export interface RunInput {
  readonly options: CubesOptions
  readonly terminal: Terminal
  /** Aborts when all processes must stop. */
  readonly signal: AbortSignal
  /** Aborts when all processes must end at once. */
  readonly killed: AbortSignal
}

/**
 * Runs both cubes until the signal aborts, a process has failed for good, or all events are accounted for.
 * @throws Error in one sentence if a process has failed
 */
export async function runCubes({ options, terminal, signal, killed }: RunInput): Promise<void> {
  const folder = resolve(options.folder)
  const last = readState(folder)
  if (last && isRunning(last))
    throw new Error(
      `the cubes of ${folder} run already (process ${last.pid}); stop them, or give another --folder`,
    )
  const mlflowProgram = options.mlflow ? await ensureMlflow() : undefined
  makeFolders(folder, options.fresh)
  const ports = await choosePorts(last?.ports)
  writePrometheusFolder(folder, ports)
  const startedAt = new Date().toISOString()
  const run = `cubes-${startedAt}`
  const failure = new AbortController()
  const watch = { say: terminal.say, failed: (text: string) => failure.abort(new Error(text)) }
  const plans = planParts({ options, ports, folder, run, mlflowProgram })
  const names = (Object.keys(plans) as PartName[]).filter((name) => mlflowProgram || name !== 'mlflow')
  const parts: Parts = new Map(names.map((name) => [name, new Part(plans[name], watch)]))
  const addresses = Object.fromEntries(names.map((name) => [name, plans[name].address]))
  writeState(folder, { pid: process.pid, startedAt, ports, addresses })
  const killAll = () => parts.forEach((part) => void part.kill())
  killed.addEventListener('abort', killAll)
  const stopping = AbortSignal.any([signal, failure.signal])
  try {
    await whileRunning(stopping, async () => {
      const before = await startInOrder(parts, terminal)
      await followToTheEnd({ options, terminal, parts, folder, ports, stopping, before })
    })
  } finally {
    terminal.say('stopping')
    for (const group of STOPS) await Promise.all(group.map((name) => parts.get(name)?.stop()))
    killed.removeEventListener('abort', killAll)
  }
  if (failure.signal.aborted) throw failure.signal.reason
}

/** Settles with the work or when the signal aborts; later results of the work are ignored. */
async function whileRunning(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const aborted = new Promise<void>((done) => {
    if (signal.aborted) done()
    else signal.addEventListener('abort', () => done(), { once: true })
  })
  const working = work().catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  await Promise.race([working, aborted])
}

function makeFolders(folder: string, fresh: boolean): void {
  if (fresh) rmSync(join(folder, 'redis'), { recursive: true, force: true })
  rmSync(join(folder, 'logs'), { recursive: true, force: true })
  for (const name of ['logs', 'redis', 'mlflow', 'prometheus', 'predictions'])
    mkdirSync(join(folder, name), { recursive: true })
}

/**
 * Starts dependencies first and the emitter last, so that no event is late because another process still starts. Returns
 * the totals that Redis held before the emitter and consumer started.
 */
async function startInOrder(parts: Parts, terminal: Terminal): Promise<Totals> {
  const start = async (names: readonly PartName[]) => {
    const started = names.flatMap((name) => parts.get(name) ?? [])
    for (const part of started) part.start()
    const within = (part: Part) => (part.plan.name === 'mlflow' ? MLFLOW_WITHIN_MS : READY_WITHIN_MS)
    await Promise.all(started.map((part) => part.ready(within(part))))
  }
  terminal.say('starting')
  await start(['redis', 'prometheus', 'mlflow'])
  const before = await totalsOf(parts)
  await start(['server', 'display', 'archive'])
  await start(['consumer'])
  await start(['emitter'])
  return before
}

async function totalsOf(parts: Parts): Promise<Totals> {
  await using broker = await openBroker(parts.get('redis')?.plan.address ?? '')
  return await broker.totals()
}

interface Following {
  readonly options: CubesOptions
  readonly terminal: Terminal
  readonly parts: Parts
  readonly folder: string
  readonly ports: Ports
  readonly stopping: AbortSignal
  /** Totals in Redis before this run. */
  readonly before: Totals
}

async function followToTheEnd(following: Following): Promise<void> {
  const { options, terminal, parts, folder, ports, stopping } = following
  terminal.say(`\n${renderTable([...parts.values()])}\n`)
  terminal.say(
    `See it at ${parts.get('display')?.plan.address}/   (Ctrl-C stops everything; state in ${folder}/state.json)`,
  )
  await using broker = await openBroker(`redis://127.0.0.1:${ports.redis}`)
  const model = await modelOf(`${parts.get('consumer')?.plan.address}/health`)
  const startedAt = performance.now()
  const status = terminal.follow({ broker, parts: [...parts.values()], eventsMax: options.events })
  try {
    await parts.get('emitter')?.done
    await untilDrained(broker, stopping)
  } finally {
    status.end()
  }
  if (stopping.aborted) return
  const seconds = (performance.now() - startedAt) / 1_000
  await parts.get('consumer')?.stop()
  const totals = await broker.totals()
  printAccount(following, {
    model,
    totals,
    seconds,
    logFile: parts.get('consumer')?.plan.logFile ?? '',
  })
  if (!options.stay) return
  writeTargets(
    folder,
    ports,
    SCRAPED.filter((part) => part !== 'emitter' && part !== 'consumer'),
  )
  terminal.say('all other processes run until Ctrl-C')
  await new Promise<void>((done) => stopping.addEventListener('abort', () => done(), { once: true }))
}

async function untilDrained(broker: Broker, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { unreadBatches, leasedBatches } = await broker.backlog()
    if (unreadBatches + leasedBatches === 0) return
    await new Promise((done) => setTimeout(done, DRAIN_POLL_MS))
  }
}

/** The model that the consumer reports. */
async function modelOf(url: string): Promise<ModelIdentity | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) })
    // As `nustream consume` answers.
    return ((await response.json()) as { details: { model?: ModelIdentity } }).details.model
  } catch {
    return undefined
  }
}

interface Counted {
  readonly model: ModelIdentity | undefined
  readonly totals: Totals
  readonly seconds: number
  readonly logFile: string
}

/** The account of this run. Events that waited in Redis before it count as emitted by it. */
function printAccount({ options, before }: Following, { model, totals, seconds, logFile }: Counted): void {
  const predicted = totals.predicted - before.predicted
  const deadLettered = totals.deadLettered - before.deadLettered
  const waited = before.emitted - before.predicted - before.deadLettered
  const report = lastReport(logFile)
  const account = toAccount({
    totals: { emitted: totals.emitted - before.emitted + waited, predicted, deadLettered },
    predictedHere: predicted,
    seconds,
    latencyMs: { p50: report?.latencyMs?.p50 ?? undefined, p99: report?.latencyMs?.p99 ?? undefined },
    meanAngularErrorRad: report?.meanAngularErrorRad ?? undefined,
    model: model ?? { name: options.model, version: 'unknown' },
    source: options.source,
  })
  console.log(options.json ? JSON.stringify(account) : renderAccount(account))
}

interface Report {
  readonly latencyMs?: { readonly p50: number | null; readonly p99: number | null }
  readonly meanAngularErrorRad?: number | null
}

/** The consumer's final report, found among its log lines. */
function lastReport(logFile: string): Report | undefined {
  const line = readFileSync(logFile, 'utf8')
    .split('\n')
    .findLast((text) => text.startsWith('{') && text.includes('"meanAngularErrorRad"'))
  // As `nustream consume --json` writes it.
  return line === undefined ? undefined : (JSON.parse(line) as Report)
}
