import { createClient, ErrorReply, RESP_TYPES } from 'redis'
import { UnavailableError } from '../../errors.ts'
import { replyCode } from './errors.ts'
import { RedisNodes } from './nodes.ts'
import type { Script } from './scripts/script.ts'
import { addressOf, type RedisAddress, type RedisTarget } from './target.ts'

export type RedisArgument = string | Buffer

export interface LinkOptions {
  readonly connectTimeoutMs: number
  /** A command without an answer for so long fails, and its connection with it. */
  readonly commandTimeoutMs: number
}

type Client = ReturnType<typeof newClient>

/**
 * One connection to the node that holds one slot, made when it is needed and made again after it broke. A command
 * either gets its answer in time or fails; trying again is the caller's.
 *
 * In a cluster a redirection is followed, and after a failure of the connection the next try goes to the next node that
 * is known, which says where the slot is by now. That is all that a client of one slot has to know about clusters.
 */
export class RedisLink {
  readonly #options: LinkOptions
  readonly #nodes: RedisNodes
  #target: RedisTarget
  #client: Promise<Client> | undefined
  #current: Client | undefined
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
   * As `run`, and answers only when so many replicas as the URL asks for have what the script did, or what it found done.
   * @throws UnavailableError when they do not say so in time; the script has taken effect, and must be run again
   */
  async runForSure(
    script: Script,
    keys: readonly string[],
    args: readonly RedisArgument[],
  ): Promise<unknown> {
    const { waitReplicas, waitMs } = this.#target
    if (waitReplicas === 0) return await this.run(script, keys, args)
    return await this.#where(async (client) => {
      const reply = await this.#ran(client, script, [`${keys.length}`, ...keys, ...args])
      // WAIT speaks for its own connection: another one, perhaps to another node, would answer for nothing.
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
  async #where<T>(act: (client: Client) => Promise<T>): Promise<T> {
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

  #connected(): Promise<Client> {
    if (this.#closed) throw new UnavailableError('broker_unreachable', 'the broker was closed')
    this.#client ??= this.#connect()
    return this.#client
  }

  async #connect(): Promise<Client> {
    const client = newClient(this.#target, this.#options.connectTimeoutMs)
    // Failures reach the caller through the command that fails; without a listener they would end the process.
    client.on('error', () => undefined)
    try {
      await within(client.connect(), this.#options.connectTimeoutMs, `connecting to Redis at ${this.address}`)
      if (this.#closed) throw new UnavailableError('broker_unreachable', 'the broker was closed')
      this.#current = client
      return client
    } catch (error) {
      destroy(client)
      this.#client = undefined
      if (!(error instanceof ErrorReply)) this.#goTo(this.#nodes.after(this.#target))
      throw error
    }
  }

  async #ran(client: Client, script: Script, rest: readonly RedisArgument[]): Promise<unknown> {
    try {
      return await this.#answered(client, ['EVALSHA', script.sha, ...rest], 0)
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error
      return await this.#answered(client, ['EVAL', script.lua, ...rest], 0)
    }
  }

  /** How many replicas have all that this connection has done and seen. */
  async #replicated(client: Client): Promise<number> {
    const { waitReplicas, waitMs } = this.#target
    try {
      return Number(await this.#answered(client, ['WAIT', `${waitReplicas}`, `${waitMs}`], waitMs))
    } catch (cause) {
      if (replyCode(cause) !== 'ERR') throw cause
      // It has just become a replica itself, and cannot say.
      throw new UnavailableError('broker_unreachable', `Redis at ${this.address} is no master now`, { cause })
    }
  }

  async #answered(client: Client, args: readonly RedisArgument[], extraMs: number): Promise<unknown> {
    const reply = client.sendCommand([...args], { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } })
    return await within(
      reply,
      this.#options.commandTimeoutMs + extraMs,
      `${args[0]} of Redis at ${this.address}`,
    )
  }

  /** Drops the connection after a failure that it will not recover from, and decides where the next one leads. */
  #learn(client: Client, error: unknown): void {
    const code = replyCode(error)
    const isOfNoConsequence = error instanceof ErrorReply && !LEAVES_NODE.has(code)
    if (isOfNoConsequence || error instanceof ReplicasMissing) return
    destroy(client)
    // Commands that failed together must not drop the connection that the first of them has made anew.
    if (this.#current !== client) return
    this.#client = undefined
    this.#current = undefined
    const moved = code === 'MOVED' && error instanceof Error ? this.#movedTo(error.message) : undefined
    if (moved) this.#nodes.learn(moved)
    // READONLY: the master has become a replica; the name may lead to the new master by now.
    if (code !== 'READONLY') this.#goTo(moved ?? this.#nodes.after(this.#target))
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

/** The step is done here and on too few replicas; the connection is well. */
class ReplicasMissing extends UnavailableError {}

function newClient(target: RedisTarget, connectTimeoutMs: number) {
  const { host, port, tls, ca, username, password, database } = target
  const socket = { host, port, connectTimeout: connectTimeoutMs, reconnectStrategy: false } as const
  const secure = {
    ...socket,
    tls: true,
    servername: isAddress(host) ? '' : host,
    ...(ca !== undefined && { ca }),
  } as const
  return createClient({
    RESP: 2,
    database,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    socket: tls ? secure : socket,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  })
}

/** A TLS server name may not be an IP address (RFC 6066 section 3). */
function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(':')
}

function destroy(client: Client): void {
  // A client that never came to be open throws; there is nothing to end then.
  if (client.isOpen) client.destroy()
}

async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new UnavailableError('broker_unreachable', `${what} took longer than ${ms} ms`)),
    ms,
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
