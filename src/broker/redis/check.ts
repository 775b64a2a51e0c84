import type { Logger } from 'pino'
import { UsageError } from '../../errors.ts'
import { replyCode } from './errors.ts'
import type { RedisLink } from './link.ts'
import type { RedisPartition } from './partition.ts'
import type { RedisAddress } from './target.ts'

/** Scripts with flags and the lag of a consumer group are new in 7.0. */
const MAJOR_MIN = 7

export interface CheckOptions {
  /** The URL says that this is a cluster. */
  readonly cluster: boolean
  readonly log: Logger | undefined
}

/**
 * Looks once at the server, or at the master of each partition in a cluster: what makes it unfit is an error, what
 * endangers data is a warning.
 * @throws UsageError for a read-only replica, a Sentinel, and a server that is too old
 */
export async function checkNodes(streams: readonly RedisPartition[], options: CheckOptions): Promise<void> {
  const [{ link }] = streams
  const nodes = await checkRedis(link, options)
  const checkedAt = link.address
  if (!nodes) return
  link.learnNodes(nodes)
  await Promise.all(streams.map((stream) => stream.find()))
  const masters = new Map(streams.map((stream) => [stream.address, stream.link]))
  for (const [at, master] of masters) {
    const info = at === checkedAt ? undefined : await readInfo(master)
    if (info) warnOfSettings(info, at, options.log)
  }
}

/** Returns the nodes of the cluster that it belongs to, or undefined where it is none, or does not say. */
async function checkRedis(
  link: RedisLink,
  { cluster, log }: CheckOptions,
): Promise<RedisAddress[] | undefined> {
  const info = await readInfo(link)
  const at = link.address
  if (info === undefined) {
    log?.info({ at }, 'Redis does not let this user read INFO, its settings are not checked')
    return cluster ? await readNodes(link, log) : undefined
  }
  const mode = info.get('redis_mode')
  if (mode === 'sentinel') {
    throw new UsageError(
      'broker_url_invalid',
      `what answers at ${at} is a Sentinel, which keeps no stream; give the address of the primary that it watches`,
    )
  }
  if (cluster && mode !== 'cluster') {
    throw new UsageError(
      'broker_url_invalid',
      `Redis at ${at} is no cluster; write redis:// (rediss:// with TLS) instead of redis+cluster://`,
    )
  }
  checkServer(info, at, log)
  return mode === 'cluster' ? await readNodes(link, log) : undefined
}

function checkServer(info: Info, at: string, log: Logger | undefined): void {
  const version = info.get('redis_version') ?? ''
  if (Number.parseInt(version, 10) < MAJOR_MIN) {
    throw new UsageError(
      'broker_url_invalid',
      `Redis at ${at} is version ${version}; ${MAJOR_MIN}.0 or newer is needed`,
    )
  }
  // A replica in a cluster says where its master is.
  const isCluster = info.get('redis_mode') === 'cluster'
  if (!isCluster && info.get('role') === 'slave' && info.get('slave_read_only') !== '0') {
    const master = `${info.get('master_host')}:${info.get('master_port')}`
    throw new UsageError(
      'broker_read_only',
      `Redis at ${at} is a read-only replica; use its master at ${master}`,
    )
  }
  warnOfSettings(info, at, log)
}

function warnOfSettings(info: Info, at: string, log: Logger | undefined): void {
  const policy = info.get('maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    log?.warn(
      { at, policy },
      'Redis may evict what is waiting when it is full; set maxmemory-policy noeviction',
    )
  }
  if (info.get('aof_enabled') === '0') {
    log?.warn({ at }, 'Redis keeps no append-only file, a crash loses what is waiting; set appendonly yes')
  }
}

type Info = ReadonlyMap<string, string>

async function readInfo(link: RedisLink): Promise<Info | undefined> {
  try {
    const text = String(await link.send(['INFO']))
    const pairs = text.split('\r\n').filter((line) => line.includes(':') && !line.startsWith('#'))
    return new Map(pairs.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
  } catch (error) {
    if (replyCode(error) === 'NOPERM') return undefined
    throw error
  }
}

/** Every node of the cluster; those of the URL must do where this user may not ask. */
async function readNodes(link: RedisLink, log: Logger | undefined): Promise<RedisAddress[]> {
  try {
    return toAddresses(await link.send(['CLUSTER', 'SLOTS']))
  } catch (error) {
    if (replyCode(error) !== 'NOPERM') throw error
    log?.info(
      { at: link.address },
      'Redis does not let this user ask for the nodes of its cluster; name all in the URL',
    )
    return []
  }
}

/** A row is first slot, last slot, then its nodes as host, port and more; a host that is not known is empty or "?". */
function toAddresses(reply: unknown): RedisAddress[] {
  if (!Array.isArray(reply)) return []
  const rows = reply.filter((row): row is unknown[] => Array.isArray(row))
  const nodes = rows.flatMap((row) => row.slice(2)).filter((node): node is unknown[] => Array.isArray(node))
  return nodes
    .map(([host, port]) => ({ host: String(host ?? ''), port: Number(port) }))
    .filter(({ host, port }) => host !== '' && host !== '?' && port > 0)
}
