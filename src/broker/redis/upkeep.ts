import type { Logger } from 'pino'
import { z } from 'zod'
import type { Heartbeat } from '../contract.ts'
import type { RedisNodeState } from '../options.ts'
import { isAlive, NAME_KEPT_MS } from '../rules.ts'
import { replyCode } from './errors.ts'
import { heartbeatsKey } from './layout.ts'
import type { RedisLink } from './link.ts'
import { SCRIPTS } from './scripts.ts'

/** Periodic work whose failure is logged only. Work of one name runs once at a time. */
export class Background {
  readonly #log: Logger | undefined
  readonly #running = new Map<string, Promise<void>>()

  constructor(log: Logger | undefined) {
    this.#log = log
  }

  /** Starts the work unless work of that name runs. */
  start(name: string, work: () => Promise<void>): void {
    if (this.#running.has(name)) return
    const done = work()
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error)
        this.#log?.debug({ name, reason }, 'broker upkeep failed, it runs again later')
      })
      .finally(() => this.#running.delete(name))
    this.#running.set(name, done)
  }

  /** Resolves when all work that runs now has ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running.values())
  }
}

/** Names of unreadable heartbeats that are logged at most. */
const UNREADABLE_MAX = 100

type Beat = Omit<Heartbeat, 'alive' | 'beatAtMs'>

const storedBeat = z.object({
  role: z.string(),
  instance: z.string(),
  everyMs: z.number().positive(),
  url: z.string().optional(),
})

/** Heartbeats in Redis, timed by the server's clock. */
export class RedisHeartbeats {
  readonly #key: string
  readonly #link: RedisLink
  readonly #log: Logger | undefined
  /** Names whose value is no heartbeat; each is logged once. */
  readonly #unreadable = new Set<string>()

  constructor(stream: string, link: RedisLink, log: Logger | undefined) {
    this.#key = heartbeatsKey(stream)
    this.#link = link
    this.#log = log
  }

  async beat({ role, instance, everyMs, url }: Beat): Promise<void> {
    const json = JSON.stringify({ role, instance, everyMs, url })
    await this.#link.run(SCRIPTS.beat, [this.#key], [nameOf({ role, instance }), json])
  }

  async leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void> {
    await this.#link.send(['HDEL', this.#key, nameOf(part)])
  }

  async read(): Promise<Heartbeat[]> {
    const reply = await this.#link.run(SCRIPTS.heartbeats, [this.#key], [`${NAME_KEPT_MS}`])
    const beats: Heartbeat[] = []
    if (!Array.isArray(reply)) return beats
    for (let i = 0; i + 3 < reply.length; i += 4) {
      const beat = this.#parse(String(reply[i]), String(reply[i + 1]))
      if (!beat) continue
      const { role, instance, everyMs, url } = beat
      const alive = isAlive(Number(reply[i + 3]), everyMs)
      beats.push({ role, instance, everyMs, url, beatAtMs: Number(reply[i + 2]), alive })
    }
    return beats.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
  }

  #parse(name: string, json: string): z.infer<typeof storedBeat> | undefined {
    const parsed = storedBeat.safeParse(parseJson(json))
    if (parsed.success) return parsed.data
    if (!this.#unreadable.has(name) && this.#unreadable.size < UNREADABLE_MAX) {
      this.#unreadable.add(name)
      this.#log?.warn(
        { key: this.#key, field: name },
        'a field of the heartbeats is no heartbeat, it is ignored',
      )
    }
    return undefined
  }
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function nameOf({ role, instance }: Pick<Heartbeat, 'role' | 'instance'>): string {
  return `${role}/${instance}`
}

export type Info = ReadonlyMap<string, string>

/** The fields of INFO, or undefined where this user may not read it. */
export async function readInfo(link: RedisLink, ...sections: string[]): Promise<Info | undefined> {
  try {
    const text = String(await link.send(['INFO', ...sections]))
    const pairs = text.split('\r\n').filter((line) => line.includes(':') && !line.startsWith('#'))
    return new Map(pairs.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
  } catch (error) {
    if (replyCode(error) === 'NOPERM') return undefined
    throw error
  }
}

/** What the node of a link says about itself; undefined where this user may not read INFO. */
export async function readNodeState(link: RedisLink): Promise<RedisNodeState | undefined> {
  const info = await readInfo(link, 'memory', 'persistence', 'replication')
  if (!info) return undefined
  const statuses = ['aof_last_write_status', 'aof_last_bgrewrite_status', 'rdb_last_bgsave_status']
  return {
    node: link.address,
    memoryUsedBytes: Number(info.get('used_memory')),
    memoryMaxBytes: Number(info.get('maxmemory')),
    isPersistenceFailing: statuses.some((status) => (info.get(status) ?? 'ok') !== 'ok'),
    isPrimary: info.get('role') === 'master',
    connectedReplicas: Number(info.get('connected_slaves') ?? 0),
  }
}
