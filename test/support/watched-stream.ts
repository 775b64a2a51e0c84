import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openBroker } from '../../src/broker/open.ts'
import { encodeEventBatch } from '../../src/event/wire.ts'
import { temporaryFolder } from './broker-backends.ts'
import { freePort } from './free-port.ts'
import { startNustream } from './nustream.ts'
import type { Target } from './prometheus.ts'
import { randomEvents } from './random-events.ts'
import { type Owner, startRedis } from './redis.ts'

const FIXTURE = fileURLToPath(new URL('../fixtures/models/icemix-axes', import.meta.url))

export interface WatchedStream {
  readonly targets: readonly Target[]
  /** Publishes three events of which one becomes a dead letter. */
  publishBadEvent(): Promise<void>
}

/**
 * Every role as a process over a real Redis, with data for every dashboard: a model with kappa and a reference, a
 * challenger, dead letters, an archive, a page, and an unreachable MLflow. If the URL of a registry is given, the model
 * server loads its model from there.
 */
export async function startWatchedStream(owner: Owner, registry?: string): Promise<WatchedStream> {
  const redis = await startRedis(owner)
  const folder = temporaryFolder(owner)
  const model = join(folder, 'model')
  cpSync(FIXTURE, model, { recursive: true })
  const reference = ['models', 'reference', model, '--data', 'sim:7', '--events', '500']
  const made = startNustream(reference, owner)
  if ((await made.ended) !== 0) throw new Error(`no reference: ${made.stderr()}`)
  const parts = ['emitter', 'server', 'consumer', 'archive', 'display'] as const
  const ports = Object.fromEntries(await Promise.all(parts.map(async (part) => [part, await freePort()])))
  const broker = ['--broker', redis.url]
  const start = (part: (typeof parts)[number], ...args: string[]) =>
    startNustream([...args, ...broker, '--port', `${ports[part]}`, '--log-level', 'warn'], owner)
  const served = registry === undefined ? ['--model', model] : await publishModel(owner, model, registry)
  const cache = ['--model-cache', join(folder, 'cache')]
  start('server', 'serve', ...served, ...cache, '--challenger', 'linefit', '--threads', '1')
  const away = ['--mlflow', `http://127.0.0.1:${await freePort()}`, '--mlflow-interval-ms', '1000']
  start('consumer', 'consume', '--model', `http://127.0.0.1:${ports['server']}`, ...away)
  // A short backlog, so that the bad event is processed soon on a busy machine.
  start('emitter', 'emit', '--source', 'sim:5', '--rate', '60', '--batch', '16', '--backlog-max', '200')
  start('archive', 'archive', '--out', join(folder, 'predictions'), '--interval-ms', '2000')
  start('display', 'display')
  const targets = parts.map((part) => {
    const labels = { cube: part === 'emitter' ? '1' : '2', part }
    return { address: `127.0.0.1:${ports[part]}`, labels }
  })
  return { targets, publishBadEvent: () => publishBadEvent(redis.url) }
}

/** Publishes a model to a registry; returns the flags that load it. */
async function publishModel(owner: Owner, folder: string, url: string): Promise<string[]> {
  const tracking = ['--mlflow', url]
  const name = ['--name', 'watched', '--alias', 'champion']
  const publishing = startNustream(['models', 'publish', folder, ...name, ...tracking], owner)
  if ((await publishing.ended) !== 0) throw new Error(`not published: ${publishing.stderr()}`)
  return ['--model', 'models:/watched@champion', ...tracking]
}

async function publishBadEvent(url: string): Promise<void> {
  await using broker = await openBroker(url)
  const events = randomEvents({ seed: 4, events: 3 })
  events.charges[events.offsets[1]] = Number.NaN
  const payload = encodeEventBatch(events)
  await broker.publish({ batchId: `bad-${Date.now()}`, payload, events: 3, emittedAtMs: Date.now() })
}
