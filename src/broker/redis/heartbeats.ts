import type { Heartbeat } from '../contract.ts'
import { BEATS_MISSED, NAME_KEPT_MS } from '../heartbeat-life.ts'
import { heartbeatsKey } from './keys.ts'
import type { RedisLink } from './link.ts'
import { beatScript, heartbeatsScript } from './scripts/heartbeat.ts'

type Beat = Omit<Heartbeat, 'alive' | 'beatAtMs'>

/** Heartbeats in Redis, timed by the server's clock. */
export class RedisHeartbeats {
  readonly #key: string
  readonly #link: RedisLink

  constructor(stream: string, link: RedisLink) {
    this.#key = heartbeatsKey(stream)
    this.#link = link
  }

  async beat({ role, instance, everyMs, url }: Beat): Promise<void> {
    const json = JSON.stringify({ role, instance, everyMs, url })
    await this.#link.run(beatScript, [this.#key], [nameOf({ role, instance }), json])
  }

  async leave(part: Pick<Heartbeat, 'role' | 'instance'>): Promise<void> {
    await this.#link.send(['HDEL', this.#key, nameOf(part)])
  }

  async read(): Promise<Heartbeat[]> {
    const reply = await this.#link.run(heartbeatsScript, [this.#key], [`${NAME_KEPT_MS}`])
    const beats: Heartbeat[] = []
    if (!Array.isArray(reply)) return beats
    for (let i = 0; i + 2 < reply.length; i += 3) {
      // Only our own script writes this hash.
      const { role, instance, everyMs, url } = JSON.parse(String(reply[i])) as Beat
      const alive = Number(reply[i + 2]) <= BEATS_MISSED * everyMs
      beats.push({ role, instance, everyMs, url, beatAtMs: Number(reply[i + 1]), alive })
    }
    return beats.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
  }
}

function nameOf({ role, instance }: Pick<Heartbeat, 'role' | 'instance'>): string {
  return `${role}/${instance}`
}
