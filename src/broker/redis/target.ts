import { readFileSync } from 'node:fs'
import { UsageError } from '../../errors.ts'
import type { BrokerSettings } from '../options.ts'

/** Where one server listens. */
export interface RedisAddress {
  readonly host: string
  readonly port: number
}

/** Where and as whom to connect. Never logged as a whole: `address` is the part that may be shown. */
export interface RedisTarget extends RedisAddress {
  /** The first and every other node that the URL names. */
  readonly nodes: readonly RedisAddress[]
  /** The URL says that it is a cluster; a cluster is also recognised without being told. */
  readonly cluster: boolean
  readonly tls: boolean
  /** PEM of the certificate authority, where it is not one that Node knows. */
  readonly ca: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
  /** Replicas that must have a step before it counts as done, and how long one look waits for them. */
  readonly waitReplicas: number
  readonly waitMs: number
}

/** `host:port`, fit for logs and messages. */
export function addressOf({ host, port }: RedisAddress): string {
  return `${host}:${port}`
}

const FORM = 'redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]'
const CLUSTER_FORM = 'redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT'
const WAIT_MS = 1_000

/**
 * The target that a URL `redis[s]://[user[:password]@]host[:port][/database][?wait=N&wait_ms=N]` and the options name, or
 * `redis[s]+cluster://[user[:password]@]host[:port],host[:port]…[?…]`; options win.
 * @throws UsageError when either is malformed; its message never holds a password
 */
export function readTarget(url: string, settings: BrokerSettings): RedisTarget {
  const cluster = /^rediss?\+cluster:/i.test(url)
  const [, scheme = '', user = '', hosts = '', rest = ''] =
    /^(rediss?)(?:\+cluster)?:\/\/([^/?#]*@)?([^/?#]*)(.*)$/i.exec(url) ?? []
  const [first = '', ...more] = hosts.split(',')
  if (more.length > 0 && !cluster)
    throw invalid(`names several hosts, which only a cluster has; write ${CLUSTER_FORM}`)
  // A URL has one host, so that of a cluster is read host by host.
  const parsed = parse(cluster ? `${scheme}://${user}${first}${rest}` : url, cluster)
  const path = parsed.pathname.replace(/^\//, '')
  if (!/^\d{0,4}$/.test(path)) throw invalid(`names database "${path}"; a Redis database is a number`)
  if (cluster && Number(path) !== 0)
    throw invalid(`names database ${path}; a Redis Cluster has none but database 0`)
  const nodes = [parsed, ...more.map((host) => parse(`${scheme}://${host}`, cluster))].map(toAddress)
  return {
    ...nodes[0],
    nodes,
    cluster,
    tls: parsed.protocol === 'rediss:',
    ca: settings.tlsCaFile === undefined ? undefined : readCa(settings.tlsCaFile),
    username: settings.username ?? decoded(parsed.username),
    password: settings.password ?? decoded(parsed.password),
    database: Number(path),
    ...readWait(parsed.searchParams),
  }
}

function parse(url: string, cluster: boolean): URL {
  try {
    return new URL(url)
  } catch (cause) {
    // The cause would carry the URL, and with it a password.
    const { code } = cause instanceof Error && 'code' in cause ? cause : { code: 'unknown' }
    throw invalid(`is malformed (${code}); write ${cluster ? CLUSTER_FORM : FORM}`)
  }
}

function toAddress({ hostname, port }: URL): RedisAddress {
  if (hostname === '') throw invalid('names no host; write redis://HOST:PORT')
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 6379 : Number(port) }
}

const WAIT_LIMITS = { wait: { min: 0, max: 16, none: 0 }, wait_ms: { min: 1, max: 60_000, none: WAIT_MS } }

function readWait(query: URLSearchParams): Pick<RedisTarget, 'waitReplicas' | 'waitMs'> {
  for (const name of query.keys()) {
    if (!(name in WAIT_LIMITS)) throw invalid(`has "?${name}"; it may have ?wait=REPLICAS and &wait_ms=TIME`)
  }
  const read = (name: keyof typeof WAIT_LIMITS) => {
    const { min, max, none } = WAIT_LIMITS[name]
    const text = query.get(name)
    const value = text === null ? none : /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw invalid(`has ${name}=${text}; expected a whole number from ${min} to ${max}`)
  }
  return { waitReplicas: read('wait'), waitMs: read('wait_ms') }
}

function decoded(part: string): string | undefined {
  if (part === '') return undefined
  try {
    return decodeURIComponent(part)
  } catch {
    throw invalid(
      'has a user or password that is not percent-encoded; encode % as %25, @ as %40, : as %3A, / as %2F',
    )
  }
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UsageError('flag_invalid', `certificate authority file ${file} cannot be read`, { cause })
  }
}

function invalid(why: string): UsageError {
  return new UsageError('broker_url_invalid', `broker URL ${why}`)
}
