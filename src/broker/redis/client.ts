import { createClient } from 'redis'
import { OutOfTime, within } from '../../async/deadline.ts'
import { UnavailableError, UsageError } from '../../errors.ts'
import { replyCode } from './errors.ts'
import { addressOf, type RedisAddress, type RedisTarget } from './target.ts'

export type RedisClient = ReturnType<typeof newClient>

function newClient(target: Omit<RedisTarget, 'nodes' | 'kind'>, connectTimeoutMs: number) {
  const { host, port, tls, username, password, database } = target
  const socket = { host, port, connectTimeout: connectTimeoutMs, reconnectStrategy: false } as const
  const secure = {
    ...socket,
    tls: true,
    servername: isIpAddress(host) ? '' : host,
    ...(tls?.ca !== undefined && { ca: tls.ca }),
    ...(tls?.cert !== undefined && { cert: tls.cert }),
    ...(tls?.key !== undefined && { key: tls.key }),
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
function isIpAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(':')
}

/** An open connection. It never reconnects by itself: its errors reach the caller through the command that fails. */
export async function connect(target: RedisTarget, connectTimeoutMs: number): Promise<RedisClient> {
  const client = newClient(target, connectTimeoutMs)
  // Without a listener an error would end the process. The first one says more than the failure of `connect`.
  let first: unknown
  client.on('error', (error: unknown) => {
    first ??= error
  })
  try {
    await inTime(() => client.connect(), connectTimeoutMs, `connecting to Redis at ${addressOf(target)}`)
    return client
  } catch (error) {
    destroy(client)
    throw isClosedSocket(error) && first !== undefined ? first : error
  }
}

export function destroy(client: RedisClient): void {
  // A client that never opened throws; there is nothing to end then.
  if (client.isOpen) client.destroy()
}

function isClosedSocket(error: unknown): boolean {
  return error instanceof Error && error.message === 'Socket closed unexpectedly'
}

/** @throws UnavailableError whose cause is OutOfTime after `ms` */
export async function inTime<T>(work: () => Promise<T>, ms: number, what: string): Promise<T> {
  try {
    return await within(work, ms)
  } catch (cause) {
    if (!(cause instanceof OutOfTime)) throw cause
    throw new UnavailableError('broker_unreachable', `${what} took longer than ${ms} ms`, { cause })
  }
}

/** The nodes that may hold the data: those of the URL, and those that a cluster has told of. Shared by all links. */
export class RedisNodes {
  readonly #known = new Map<string, RedisAddress>()
  #asking: Promise<RedisAddress> | undefined

  constructor(addresses: readonly RedisAddress[]) {
    for (const address of addresses) this.learn(address)
  }

  learn({ host, port }: RedisAddress): void {
    this.#known.set(addressOf({ host, port }), { host, port })
  }

  /** The node to ask when the one at `address` is of no use: the one after it, in a ring. */
  after(address: RedisAddress): RedisAddress {
    const all = [...this.#known.values()]
    const place = [...this.#known.keys()].indexOf(addressOf(address))
    return all[(place + 1) % all.length]
  }

  /** The primary that the Sentinels name now. Links that ask at the same time share one answer. */
  async askSentinels(target: RedisTarget, connectTimeoutMs: number): Promise<RedisAddress> {
    this.#asking ??= askSentinels(target, connectTimeoutMs).finally(() => {
      this.#asking = undefined
    })
    return await this.#asking
  }
}

/**
 * Asks one Sentinel after another where the primary is.
 * @throws UnavailableError when none answers; UsageError when those that answer do not know the name
 */
async function askSentinels(target: RedisTarget, connectTimeoutMs: number): Promise<RedisAddress> {
  let failure: unknown
  let knows = true
  for (const sentinel of target.nodes) {
    try {
      const primary = await askSentinel({ ...target, ...sentinel, database: 0 }, connectTimeoutMs)
      if (primary) return primary
      knows = false
    } catch (error) {
      if (replyCode(error) !== '' && replyCode(error) !== 'LOADING') throw error
      failure = error
    }
  }
  const names = target.nodes.map(addressOf).join(', ')
  if (!knows) {
    const message = `the Sentinels at ${names} watch no primary named "${target.primaryName}"; check the name in the broker URL`
    throw new UsageError('broker_url_invalid', message)
  }
  const message = `no Sentinel answers at ${names}`
  throw new UnavailableError('broker_unreachable', message, { cause: failure })
}

/** Sentinels often have no password where Redis has one: the credentials are sent only when the Sentinel asks for them. */
async function askSentinel(target: RedisTarget, limitMs: number): Promise<RedisAddress | undefined> {
  const ask = async (as: RedisTarget) => {
    const client = await connect(as, limitMs)
    try {
      const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', target.primaryName]
      const reply = client.sendCommand<unknown>(command)
      return await inTime(() => reply, limitMs, `Sentinel at ${addressOf(target)}`)
    } finally {
      destroy(client)
    }
  }
  const anonymous = { ...target, username: undefined, password: undefined }
  const reply = await ask(anonymous).catch((error: unknown) => {
    if (replyCode(error) !== 'NOAUTH' || target.password === undefined) throw error
    return ask(target)
  })
  if (!Array.isArray(reply)) return undefined
  const [host, port] = reply.map(String)
  return { host, port: Number(port) }
}
