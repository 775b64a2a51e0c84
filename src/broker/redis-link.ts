import { createClient, ErrorReply, RESP_TYPES } from 'redis'
import { UnavailableError } from '../errors.ts'
import { replyCode } from './redis-errors.ts'
import type { Script } from './redis-scripts/script.ts'
import { addressOf, type RedisTarget } from './redis-target.ts'

export type RedisArgument = string | Buffer

export interface LinkOptions {
  readonly connectTimeoutMs: number
  /** A command without an answer for so long fails, and its connection with it. */
  readonly commandTimeoutMs: number
}

type Client = ReturnType<typeof newClient>

/**
 * One connection to the node that holds one slot, made when it is needed and made again after it broke. A command
 * either gets its answer in time or fails; trying again is the caller's. A cluster's redirections are followed on the
 * next try, which is all that a client of one slot has to know about clusters.
 */
export class RedisLink {
  readonly #options: LinkOptions
  #target: RedisTarget
  #client: Promise<Client> | undefined
  #current: Client | undefined
  #closed = false

  constructor(target: RedisTarget, options: LinkOptions) {
    this.#target = target
    this.#options = options
  }

  get address(): string {
    return addressOf(this.#target)
  }

  /** The raw reply, strings as Buffers. `extraMs` is added to the deadline of a command that blocks on purpose. */
  async send(args: readonly RedisArgument[], extraMs = 0): Promise<unknown> {
    const client = await this.#connected()
    try {
      return await this.#answered(client, args, extraMs)
    } catch (error) {
      this.#learn(client, error)
      throw error
    }
  }

  /** Runs a script by its digest, or by its text where the server has not seen it since its start. */
  async run(script: Script, keys: readonly string[], args: readonly RedisArgument[]): Promise<unknown> {
    const rest = [`${keys.length}`, ...keys, ...args]
    try {
      return await this.send(['EVALSHA', script.sha, ...rest])
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error
      return await this.send(['EVAL', script.lua, ...rest])
    }
  }

  /** Ends the connection; what waits for an answer fails. */
  async close(): Promise<void> {
    this.#closed = true
    const client = this.#client
    this.#client = undefined
    await client?.then(destroy, () => undefined)
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
      throw error
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

  /** Drops the connection after a failure that it will not recover from, and follows a redirection. */
  #learn(client: Client, error: unknown): void {
    const code = replyCode(error)
    if (code === 'MOVED' && error instanceof Error) this.#follow(error.message)
    // READONLY: the master has become a replica; the name may lead to the new master by now.
    const isOfNoConsequence = error instanceof ErrorReply && code !== 'MOVED' && code !== 'READONLY'
    if (isOfNoConsequence) return
    destroy(client)
    // Commands that failed together must not drop the connection that the first of them has made anew.
    if (this.#current === client) this.#client = undefined
  }

  /** `MOVED SLOT HOST:PORT`; an empty host means the one that answered. */
  #follow(message: string): void {
    const found = /^MOVED \d+ (.*):(\d+)$/.exec(message)
    if (!found) return
    const [, host = '', port = ''] = found
    this.#target = { ...this.#target, host: host || this.#target.host, port: Number(port) }
  }
}

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
