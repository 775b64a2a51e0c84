import { execFileSync } from 'node:child_process'
import { type Owner, type RedisServer, startRedis } from './redis.ts'
import { redisCommand } from './redis-command.ts'
import { isUnreachable, until } from './until.ts'

export interface RedisClusterOptions {
  readonly masters?: number
  /** Of each master. */
  readonly replicas?: number
  /** More arguments of every redis-server. */
  readonly args?: readonly string[]
}

export interface RedisCluster {
  readonly nodes: readonly RedisServer[]
  /** `redis+cluster://` with every node. */
  readonly url: string
  /** The master of a key's slot, as the live nodes report it. */
  masterOf(key: string): Promise<RedisServer>
  /** The replicas of a node. */
  replicasOf(node: RedisServer): Promise<RedisServer[]>
  /** Sends a command on a separate connection. */
  command(node: RedisServer, ...args: string[]): Promise<unknown>
  /** Waits until every live node sees all slots covered, and `replicas` replicas in sync with their masters. */
  healthy(replicas?: number): Promise<void>
}

/** A failed master is replaced after about two of these; on a busy machine, live nodes must not appear dead. */
const NODE_TIMEOUT_MS = 3_000
const WITHIN = { withinMs: 90_000, everyMs: 50 }

/** Starts a Redis Cluster on loopback, like `redis-cli --cluster create`. It ends with its owner. */
export async function startRedisCluster(
  owner: Owner,
  { masters = 3, replicas = 1, args = [] }: RedisClusterOptions = {},
): Promise<RedisCluster> {
  const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', `${NODE_TIMEOUT_MS}`]
  // A replica may take over however long it has heard nothing, and is told of in quick succession.
  const quick = [
    '--cluster-replica-validity-factor',
    '0',
    '--repl-ping-replica-period',
    '1',
    '--repl-diskless-sync-delay',
    '0',
  ]
  const options = { args: [...cluster, ...quick, '--appendfsync', 'everysec', ...args] }
  // Every server ends with this process, and has a listener for that.
  process.setMaxListeners(Math.max(process.getMaxListeners(), 40))
  const nodes: RedisServer[] = []
  for (let i = 0; i < masters * (1 + replicas); i++) nodes.push(await startNode(owner, options))
  const addresses = nodes.map((node) => `${node.host}:${node.port}`)
  const create = ['--cluster', 'create', ...addresses, '--cluster-replicas', `${replicas}`, '--cluster-yes']
  execFileSync('redis-cli', create, { timeout: 60_000 })
  const made = new Cluster(nodes)
  await made.healthy(masters * replicas)
  return made
}

/** The cluster bus listens 10,000 above, so the port must leave room for it. */
async function startNode(owner: Owner, options: { args: readonly string[] }): Promise<RedisServer> {
  for (;;) {
    const node = await startRedis(owner, options).catch((error: Error) => {
      if (!/cluster bus|too high|in use/i.test(error.message)) throw error
    })
    if (node) return node
  }
}

class Cluster implements RedisCluster {
  readonly nodes: readonly RedisServer[]

  constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes
  }

  get url(): string {
    return `redis+cluster://${this.nodes.map((node) => `${node.host}:${node.port}`).join(',')}`
  }

  async command(node: RedisServer, ...args: string[]): Promise<unknown> {
    return await redisCommand(node.url, ...args)
  }

  async masterOf(key: string): Promise<RedisServer> {
    const [first] = await this.#living()
    const slot = Number(await this.command(first, 'CLUSTER', 'KEYSLOT', key))
    const row = (await this.#table(first)).find(({ slots }) =>
      slots.some(([from, to]) => slot >= from && slot <= to),
    )
    return this.#node(row?.port)
  }

  async replicasOf(node: RedisServer): Promise<RedisServer[]> {
    const [first] = await this.#living()
    const rows = await this.#table(first)
    const master = rows.find(({ port }) => port === node.port)
    return rows.filter(({ masterId }) => masterId === master?.id).map(({ port }) => this.#node(port))
  }

  async healthy(replicas = 0): Promise<void> {
    await until(
      async () => {
        const living = await this.#living()
        const infos = await Promise.all(living.map((node) => this.command(node, 'CLUSTER', 'INFO')))
        if (!infos.every((info) => String(info).includes('cluster_state:ok'))) return false
        const links = await Promise.all(living.map((node) => this.command(node, 'INFO', 'replication')))
        return links.filter((link) => String(link).includes('master_link_status:up')).length >= replicas
      },
      { ...WITHIN, what: 'a cluster in good health', notYet: isUnreachable },
    )
  }

  async #living(): Promise<RedisServer[]> {
    const answers = await Promise.allSettled(this.nodes.map((node) => this.command(node, 'PING')))
    return this.nodes.filter((_, i) => answers[i].status === 'fulfilled')
  }

  /** Rows of CLUSTER NODES: id, address, flags, master, pings, epoch, state, slots. */
  async #table(node: RedisServer) {
    const text = String(await this.command(node, 'CLUSTER', 'NODES'))
    return text
      .trim()
      .split('\n')
      .map((line) => {
        const [id = '', address = '', , masterId = '', , , , , ...slots] = line.split(' ')
        const ranges = slots
          .filter((slot) => /^\d+(-\d+)?$/.test(slot))
          .map((slot) => slot.split('-').map(Number))
        return {
          id,
          masterId,
          port: Number(/:(\d+)@/.exec(address)?.[1]),
          slots: ranges.map(([from, to = from]) => [from, to] as const),
        }
      })
  }

  #node(port: number | undefined): RedisServer {
    const node = this.nodes.find((candidate) => candidate.port === port)
    if (!node) throw new Error(`no node of the cluster has port ${port}`)
    return node
  }
}
