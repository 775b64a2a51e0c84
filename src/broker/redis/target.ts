import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { UsageError } from '../../errors.ts'
import type { BrokerSettings } from '../options.ts'

/** Where one server listens. */
export interface RedisAddress {
  readonly host: string
  readonly port: number
}

/** Where and as whom to connect. Never logged as a whole: `addressOf` is the part that may be shown. */
export interface RedisTarget extends RedisAddress {
  /** Every node that the URL names: of a cluster, or the Sentinels. */
  readonly nodes: readonly RedisAddress[]
  /** `cluster` and `sentinel` as the URL says; a cluster is also recognised without being told. */
  readonly kind: 'single' | 'cluster' | 'sentinel'
  /** Name under which the Sentinels know the primary. */
  readonly primaryName: string
  /** Undefined without TLS. */
  readonly tls: RedisTls | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly database: number
  /** Replicas that must have a step before it counts as done, and how long one look waits for them, ms. */
  readonly waitReplicas: number
  readonly waitMs: number
}

/** PEM texts; each undefined where none was given. */
export interface RedisTls {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

/** `host:port`, fit for logs and messages. */
export function addressOf({ host, port }: RedisAddress): string {
  return `${host}:${port}`
}

const FORMS = {
  single: 'redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]',
  cluster: 'redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT',
  sentinel: 'redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/PRIMARY[/DATABASE]',
}
const PORTS = { single: 6379, cluster: 6379, sentinel: 26_379 }
const WAIT_MS = 1_000

/**
 * The target that a URL and the options name; options take precedence. `FORMS` has the forms of the URL, each also with
 * `rediss` for TLS and with `?wait=N&wait_ms=N`.
 * @throws UsageError when either is malformed; its message never holds a password
 */
export function readTarget(url: string, settings: BrokerSettings): RedisTarget {
  const [, scheme = '', suffix = '', user = '', hosts = '', rest = ''] =
    /^(rediss?)(\+cluster|\+sentinel)?:\/\/([^/?#]*@)?([^/?#]*)(.*)$/i.exec(url) ?? []
  const kind = toKind(suffix)
  const [first = '', ...more] = hosts.split(',')
  if (more.length > 0 && kind === 'single')
    throw invalid(`names several hosts; write ${FORMS.cluster} or ${FORMS.sentinel}`)
  // A URL has one host, so several are read host by host.
  const parsed = parse(`${scheme}://${user}${first}${rest}`, kind)
  const nodes = [parsed, ...more.map((host) => parse(`${scheme}://${host}`, kind))].map((node) =>
    toAddress(node, PORTS[kind]),
  )
  return {
    ...nodes[0],
    nodes,
    kind,
    ...readPath(parsed.pathname, kind),
    tls: parsed.protocol === 'rediss:' ? readTls(settings) : undefined,
    username: settings.username ?? decoded(parsed.username),
    password: settings.password ?? decoded(parsed.password),
    ...readWait(parsed.searchParams),
  }
}

function toKind(suffix: string): RedisTarget['kind'] {
  if (suffix.toLowerCase() === '+cluster') return 'cluster'
  return suffix === '' ? 'single' : 'sentinel'
}

function parse(url: string, kind: RedisTarget['kind']): URL {
  try {
    return new URL(url)
  } catch (cause) {
    // The cause would carry the URL, and with it a password.
    const { code } = cause instanceof Error && 'code' in cause ? cause : { code: 'unknown' }
    throw invalid(`is malformed (${code}); write ${FORMS[kind]}`)
  }
}

function toAddress({ hostname, port }: URL, fallback: number): RedisAddress {
  if (hostname === '') throw invalid('names no host; write redis://HOST:PORT')
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? fallback : Number(port) }
}

/** `/DATABASE`, or with Sentinels `/PRIMARY[/DATABASE]`. */
function readPath(
  pathname: string,
  kind: RedisTarget['kind'],
): Pick<RedisTarget, 'primaryName' | 'database'> {
  const parts = pathname.split('/').slice(1)
  const primaryName = kind === 'sentinel' ? (decoded(parts.shift() ?? '') ?? '') : ''
  if (kind === 'sentinel' && primaryName === '')
    throw invalid(`does not say which primary the Sentinels watch; write ${FORMS.sentinel}`)
  const database = parts.join('/')
  if (!/^\d{0,4}$/.test(database)) throw invalid(`names database "${database}"; a Redis database is a number`)
  if (kind === 'cluster' && Number(database) !== 0)
    throw invalid(`names database ${database}; a Redis Cluster has only database 0`)
  return { primaryName, database: Number(database) }
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

/** @throws UsageError for a file that cannot be read, is no PEM, or a key that does not belong to its certificate */
function readTls({ tlsCaFile, tlsCertFile, tlsKeyFile }: BrokerSettings): RedisTls {
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined))
    throw new UsageError('flag_invalid', 'a client certificate needs both --broker-cert and --broker-key')
  const tls = {
    ca: readPem(tlsCaFile, '--broker-ca'),
    cert: readPem(tlsCertFile, '--broker-cert'),
    key: readPem(tlsKeyFile, '--broker-key'),
  }
  try {
    createSecureContext(tls)
  } catch (cause) {
    const files = [tlsCaFile, tlsCertFile, tlsKeyFile].filter((file) => file !== undefined).join(', ')
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError('flag_invalid', `TLS files ${files} cannot be used: ${reason}`, { cause })
  }
  return tls
}

function readPem(file: string | undefined, flag: string): string | undefined {
  if (file === undefined) return undefined
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UsageError('flag_invalid', `${flag}: ${file} cannot be read`, { cause })
  }
}

function invalid(why: string): UsageError {
  return new UsageError('broker_url_invalid', `broker URL ${why}`)
}
