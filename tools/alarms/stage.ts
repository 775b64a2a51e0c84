import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openBroker } from '../../src/broker/open.ts'
import type { EventBatch } from '../../src/event/event-batch.ts'
import { encodeEventBatch } from '../../src/event/wire.ts'
import { temporaryFolder } from '../../test/support/broker-backends.ts'
import { freePort } from '../../test/support/free-port.ts'
import { type NustreamProcess, startNustream } from '../../test/support/nustream.ts'
import { type PrometheusServer, startPrometheus, type Target } from '../../test/support/prometheus.ts'
import { PROMETHEUS, ruleFiles } from '../../test/support/prometheus-files.ts'
import { type Owner, type RedisServer, type StartRedisOptions, startRedis } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { shortenConfig, shortenRules } from './shortened.ts'

export type PartName = 'emitter' | 'consumer' | 'consumer2' | 'server' | 'archive'

const PORT_FLAGS: Readonly<Record<PartName, string>> = {
  emitter: 'emit',
  consumer: 'consume',
  consumer2: 'consume',
  server: 'serve',
  archive: 'archive',
}

const READY_WITHIN_MS = 120_000

/** Events per second that consumers predict. */
export const PREDICTED = 'nustream:events:rate1m{outcome="predicted"}'

/** Flags of an emitter of 100 simulated events per second. */
export const QUIET_EMITTER = ['--source', 'sim:3', '--rate', '100', '--batch', '16', '--run', 'r']

/** A real Redis, a real Prometheus with the shortened shipped rules, and the processes that a cause needs. */
export interface Stage {
  readonly owner: Owner
  readonly redis: RedisServer
  readonly prometheus: PrometheusServer
  /** Folder of this stage. */
  readonly folder: string
  /** `http://127.0.0.1:PORT` of a role, whether or not it runs. */
  urlOf(part: PartName): string
  /** Starts a role on the stage's broker, always on the same port, and adds it to the targets of Prometheus. */
  start(part: PartName, ...flags: string[]): NustreamProcess
  /** Removes a role from the targets. */
  unlist(part: PartName): void
  /** Publishes a batch as a separate producer. */
  publish(events: EventBatch): Promise<void>
  /** Waits until the query has a value above 0. */
  flows(query: string): Promise<void>
}

export async function openStage(owner: Owner, redisOptions: StartRedisOptions = {}): Promise<Stage> {
  const redis = await startRedis(owner, redisOptions)
  const parts = Object.keys(PORT_FLAGS) as PartName[]
  const ports = new Map(await Promise.all(parts.map(async (part) => [part, await freePort()] as const)))
  const rules = Object.entries(ruleFiles()).map(([name, text]) => [name, shortenRules(text)])
  const prometheus = await startPrometheus(owner, {
    config: shortenConfig(readFileSync(join(PROMETHEUS, 'prometheus.yml'), 'utf8')),
    rules: Object.fromEntries(rules),
    targets: [],
  })
  const listed = new Set<PartName>()
  const started: NustreamProcess[] = []
  const list = () => prometheus.setTargets([...listed].map((part) => toTarget(part, ports.get(part) ?? 0)))
  const start: Stage['start'] = (part, ...flags) => {
    listed.add(part)
    list()
    const words = [PORT_FLAGS[part], '--broker', redis.url, '--port', `${ports.get(part)}`]
    const process = startNustream([...words, '--log-level', 'warn', ...flags], owner)
    started.push(process)
    return process
  }
  return {
    owner,
    redis,
    prometheus,
    folder: temporaryFolder(owner),
    urlOf: (part) => `http://127.0.0.1:${ports.get(part)}`,
    start,
    unlist: (part) => {
      listed.delete(part)
      list()
    },
    publish: (events) => publish(redis.url, events),
    flows: async (query) => {
      const isAboveZero = async () => Number((await prometheus.query(`sum(${query})`))[0]?.value[1]) > 0
      await until(isAboveZero, { withinMs: READY_WITHIN_MS, everyMs: 250, what: query }).catch(
        (cause: unknown) => {
          const words = started.map((part) => part.stderr().slice(-500))
          throw new Error(`${query} did not rise above 0\n${words.join('\n')}`, { cause })
        },
      )
    },
  }
}

function toTarget(part: PartName, port: number): Target {
  const name = part.replace(/\d$/, '')
  return {
    address: `127.0.0.1:${port}`,
    labels: { cube: name === 'emitter' ? '1' : '2', part: name },
  }
}

async function publish(url: string, events: EventBatch): Promise<void> {
  await using broker = await openBroker(url)
  const payload = encodeEventBatch(events)
  await broker.publish({
    batchId: `producer-${Date.now()}-${Math.random()}`,
    payload,
    events: events.eventIds.length,
    emittedAtMs: Date.now(),
  })
}
