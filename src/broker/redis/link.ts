import { ErrorReply, RESP_TYPES } from 'redis'
import { UnavailableError } from '../../errors.ts'
import { connect, destroy, inTime, type RedisClient, RedisNodes } from './client.ts'
import { ReplicasMissing, replyCode } from './errors.ts'
import type { Script } from './scripts.ts'
import { addressOf, type RedisAddress, type RedisTarget } from './target.ts'

export type RedisArgument = string | Buffer

export interface LinkOptions {
  readonly connectTimeoutMs: number
  /** A command without an answer for this long fails, and its connection with it. */
  readonly commandTimeoutMs: number
}

/**
 * One connection to the node that holds one slot, opened when it is needed and opened again after it broke. A command
 * either gets its answer in time or fails; the caller retries.
 *
 * In a cluster a redirection is followed, and after a failure of the connection the next try goes to the next known node,
 * which says where the slot is now. With Sentinels, they are asked for the primary before each connection.
 */
export class RedisLink {
  readonly #options: LinkOptions
  readonly #nodes: RedisNodes
  #target: RedisTarget
  #client: Promise<RedisClient> | undefined
  #current: RedisClient | undefined
  #closed = false

  constructor(target: RedisTarget, options: LinkOptions, nodes = new RedisNodes(target.nodes)) {
    this.#target = target
    this.#options = options
    this.#nodes = nodes
  }

  get address(): string {
    return addressOf(this.#target)
  }

  /** Another connection to where this one leads now. */
  another(): RedisLink {
    return new RedisLink(this.#target, this.#options, this.#nodes)
  }

  /** More nodes of the cluster, to be asked when the one in use is gone. */
  learnNodes(addresses: readonly RedisAddress[]): void {
    for (const address of addresses) this.#nodes.learn(address)
  }

  /** The raw reply, strings as Buffers. `extraMs` is added to the deadline of a command that blocks on purpose. */
  async send(args: readonly RedisArgument[], extraMs = 0): Promise<unknown> {
    return await this.#where((client) => this.#answered(client, args, extraMs))
  }

  /** Runs a script by its digest, or by its text where the server has not seen it since its start. */
  async run(script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    return await this.#where((client) => this.#ran(client, script, [`${keys.length}`, ...keys, ...args]))
  }

  /**
   * As `run`, and answers only when as many replicas as the URL asks for have the result of the script.
   * @throws UnavailableError when they do not confirm in time; the script took effect, and must be run again
   */
  async runReplicated(
    script: Script,
    keys: readonly string[],
    args: readonly RedisArgument[],
  ): Promise<unknown> {
    const { waitReplicas, waitMs } = this.#target
    if (waitReplicas === 0) return await this.run(script, keys, args)
    return await this.#where(async (client) => {
      const reply = await this.#ran(client, script, [`${keys.length}`, ...keys, ...args])
      // WAIT answers for the writes of its own connection only.
      const had = await this.#replicated(client)
      if (had >= waitReplicas) return reply
      const message = `${had} of ${waitReplicas} replicas of Redis at ${this.address} have the last step after ${waitMs} ms`
      throw new ReplicasMissing('broker_refuses_writes', message)
    })
  }

  /** Ends the connection; what waits for an answer fails. */
  async close(): Promise<void> {
    this.#closed = true
    const client = this.#client
    this.#client = undefined
    await client?.then(destroy, () => undefined)
  }

  /** Runs `act` on the node that has the slot: a command that was redirected has not been carried out there. */
  async #where<T>(act: (client: RedisClient) => Promise<T>): Promise<T> {
    for (let hops = 0; ; hops++) {
      const client = await this.#connected()
      try {
        return await act(client)
      } catch (error) {
        this.#learn(client, error)
        if (replyCode(error) !== 'MOVED' || hops >= HOPS_MAX) throw error
      }
    }
  }

  #connected(): Promise<RedisClient> {
    if (this.#closed) throw new UnavailableError('broker_unreachable', 'the broker was closed')
    this.#client ??= this.#connect()
    return this.#client
  }

  async #connect(): Promise<RedisClient> {
    const { connectTimeoutMs } = this.#options
    try {
      if (this.#target.kind === 'sentinel')
        this.#goTo(await this.#nodes.askSentinels(this.#target, connectTimeoutMs))
      const client = await connect(this.#target, connectTimeoutMs)
      if (this.#closed) {
        destroy(client)
        throw new UnavailableError('broker_unreachable', 'the broker was closed')
      }
      this.#current = client
      return client
    } catch (error) {
      this.#client = undefined
      if (!(error instanceof ErrorReply)) this.#goToNext()
      throw error
    }
  }

  async #ran(client: RedisClient, script: Script, rest: readonly RedisArgument[]): Promise<unknown> {
    try {
      return await this.#answered(client, ['EVALSHA', script.sha, ...rest], 0)
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error
      return await this.#answered(client, ['EVAL', script.lua, ...rest], 0)
    }
  }

  /** How many replicas have all that this connection has done and seen. */
  async #replicated(client: RedisClient): Promise<number> {
    const { waitReplicas, waitMs } = this.#target
    try {
      return Number(await this.#answered(client, ['WAIT', `${waitReplicas}`, `${waitMs}`], waitMs))
    } catch (cause) {
      if (replyCode(cause) !== 'ERR') throw cause
      // It has just become a replica itself, and cannot answer.
      throw new UnavailableError('broker_unreachable', `Redis at ${this.address} is no primary now`, {
        cause,
      })
    }
  }

  async #answered(client: RedisClient, args: readonly RedisArgument[], extraMs: number): Promise<unknown> {
    const reply = () =>
      client.sendCommand<unknown>([...args], { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } })
    const limitMs = this.#options.commandTimeoutMs + extraMs
    return await inTime(reply, limitMs, `${args[0]} of Redis at ${this.address}`)
  }

  /** Drops the connection after a failure that it will not recover from, and decides where the next one leads. */
  #learn(client: RedisClient, error: unknown): void {
    const code = replyCode(error)
    const isHarmless = error instanceof ErrorReply && !LEAVES_NODE.has(code)
    if (isHarmless || error instanceof ReplicasMissing) return
    destroy(client)
    // Commands that failed together must not drop the connection that the first of them has made anew.
    if (this.#current !== client) return
    this.#client = undefined
    this.#current = undefined
    const moved = code === 'MOVED' && error instanceof Error ? this.#movedTo(error.message) : undefined
    if (moved) this.#nodes.learn(moved)
    // READONLY: the primary has become a replica; its name may lead to the new primary by now.
    if (moved) this.#goTo(moved)
    else if (code !== 'READONLY') this.#goToNext()
  }

  /** Where the next connection leads. Sentinels say so themselves, when they are asked. */
  #goToNext(): void {
    if (this.#target.kind !== 'sentinel') this.#goTo(this.#nodes.after(this.#target))
  }

  #goTo({ host, port }: RedisAddress): void {
    this.#target = { ...this.#target, host, port }
  }

  /** `MOVED SLOT HOST:PORT`; an empty host, or `?`, means the one that answered. */
  #movedTo(message: string): RedisAddress | undefined {
    const found = /^MOVED \d+ (.*):(\d+)$/.exec(message)
    if (!found) return undefined
    const [, host = '', port = ''] = found
    return { host: host === '' || host === '?' ? this.#target.host : host, port: Number(port) }
  }
}

/** Nodes that have just changed places may point to each other for a moment. */
const HOPS_MAX = 3

/** Replies after which another node, or another connection, may do better. */
const LEAVES_NODE = new Set(['MOVED', 'READONLY', 'CLUSTERDOWN'])
