import type { Logger } from 'pino'
import { UnavailableError, UsageError } from '../../errors.ts'
import { replyCode } from './errors.ts'
import type { RedisLink } from './link.ts'
import type { RedisPartition } from './partition.ts'
import type { RedisAddress, RedisTarget } from './target.ts'
import { type Info, readInfo } from './upkeep.ts'

/** Scripts with flags and the lag of a consumer group are new in 7.0. */
const MAJOR_MIN = 7

export interface CheckOptions {
  /** What the URL says. */
  readonly kind: RedisTarget['kind']
  readonly log: Logger | undefined
}

/**
 * Checks the server once, in a cluster the primary of each partition: an unsuitable server is an error, a setting that
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

/** Returns the nodes of the cluster that the server belongs to; undefined where it belongs to none, or does not say. */
async function checkRedis(link: RedisLink, { kind, log }: CheckOptions): Promise<RedisAddress[] | undefined> {
  const info = await readInfo(link)
  const at = link.address
  if (info === undefined) {
    log?.info({ at }, 'this user may not read INFO of Redis, its settings are not checked')
    return kind === 'cluster' ? await readNodes(link, log) : undefined
  }
  const mode = info.get('redis_mode')
  if (mode === 'sentinel') {
    throw new UsageError(
      'broker_url_invalid',
      `the server at ${at} is a Sentinel, which stores no stream; write redis+sentinel://${at}/PRIMARY`,
    )
  }
  if (kind === 'cluster' && mode !== 'cluster') {
    throw new UsageError(
      'broker_url_invalid',
      `Redis at ${at} is no cluster; write redis:// (rediss:// with TLS) instead of redis+cluster://`,
    )
  }
  checkServer(info, at, { kind, log })
  return mode === 'cluster' ? await readNodes(link, log) : undefined
}

function checkServer(info: Info, at: string, { kind, log }: CheckOptions): void {
  const version = info.get('redis_version') ?? ''
  if (Number.parseInt(version, 10) < MAJOR_MIN) {
    throw new UsageError(
      'broker_url_invalid',
      `Redis at ${at} is version ${version}; ${MAJOR_MIN}.0 or newer is needed`,
    )
  }
  // A replica in a cluster says where its primary is.
  const isCluster = info.get('redis_mode') === 'cluster'
  if (!isCluster && info.get('role') === 'slave' && info.get('slave_read_only') !== '0') {
    const primary = `${info.get('master_host')}:${info.get('master_port')}`
    const message = `Redis at ${at} is a read-only replica; use its primary at ${primary}`
    // Sentinels name the former primary for a moment.
    if (kind === 'sentinel') throw new UnavailableError('broker_refuses_writes', message)
    throw new UsageError('broker_read_only', message)
  }
  warnOfSettings(info, at, log)
}

function warnOfSettings(info: Info, at: string, log: Logger | undefined): void {
  const policy = info.get('maxmemory_policy')
  if (policy !== undefined && policy !== 'noeviction') {
    log?.warn(
      { at, policy },
      'Redis may delete waiting batches when it is full; set maxmemory-policy noeviction',
    )
  }
  if (info.get('aof_enabled') === '0') {
    log?.warn(
      { at },
      'Redis writes no append-only file, so a crash loses waiting batches; set appendonly yes',
    )
  }
}

/** Every node of the cluster; none where this user may not ask. */
async function readNodes(link: RedisLink, log: Logger | undefined): Promise<RedisAddress[]> {
  try {
    return toAddresses(await link.send(['CLUSTER', 'SLOTS']))
  } catch (error) {
    if (replyCode(error) !== 'NOPERM') throw error
    log?.info(
      { at: link.address },
      'this user may not ask Redis for the nodes of its cluster; name all of them in the URL',
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
